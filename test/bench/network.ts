/**
 * A whole restore over networks as they are: the same server behind a proxy that lets bytes through at once, or so many a second
 * on each connection. The proxy is in this process, which does nothing else meanwhile.
 */
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startPacedProxy, type Pace } from '../support/paced-proxy.ts';
import type { Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import { ours, restorer } from './end-to-end.ts';
import { measure } from './measure.ts';
import { runRounds, type Series } from './rounds.ts';
import type { S3Place } from './s3-place.ts';

const NETWORKS: readonly (Pace & { id: string; label: string })[] = [
  { id: 'free', label: 'not paced' },
  { id: '40', label: '40 MB/s a connection, 20 ms to the first byte', rate: 40e6, latencyMs: 20 },
  { id: '15', label: '15 MB/s a connection, 20 ms to the first byte', rate: 15e6, latencyMs: 20 },
];

export async function networkRounds(bench: Bench, corpus: Corpus, s3: S3Place): Promise<Series[]> {
  const place = join(bench.scratch, 'network');
  mkdirSync(place);
  const prefix = `${corpus.name}/network`;
  const workers = Math.max(...bench.options.workers);
  await measure(ours(corpus, s3, workers).save(prefix));
  const port = Number(new URL(s3.endpoint).port);
  const networks = await Promise.all(
    NETWORKS.map(async ({ id, label, ...pace }) => ({ id, label, proxy: await startPacedProxy(port, pace) })),
  );
  const contenders = networks.map(({ id, label, proxy }) => ({
    ...restorer(
      corpus,
      { ...ours(corpus, { ...s3, endpoint: proxy.endpoint }, workers), id, label },
      { place, prefix },
    ),
    id: `${prefix}/${id}`,
  }));
  try {
    return await runRounds(contenders, bench.options.runs, bench.log);
  } finally {
    await Promise.all(networks.map(({ proxy }) => proxy.close()));
    await rm(place, { recursive: true });
  }
}
