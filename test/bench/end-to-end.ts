/**
 * A whole save and a whole restore against one S3 server, processes' starts included. The old way is what the shell library
 * did: `tar` to a file, `aws s3 cp` of the file. Ours does more in its time: digests, commit by rename, verification.
 */
import { cpSync, mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expectWhole, type Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import { programOf } from './machine.ts';
import { shell, type Command } from './measure.ts';
import { runRounds, type Contender, type Series } from './rounds.ts';
import type { S3Place } from './s3-place.ts';

const CLI = fileURLToPath(new URL('../../bin/sandbox-cache.js', import.meta.url));

export async function endToEndRounds(bench: Bench, corpus: Corpus, s3: S3Place): Promise<Series[]> {
  const place = join(bench.scratch, 'end-to-end');
  mkdirSync(place);
  const { workers, oursOnly, runs } = bench.options;
  const ways = [ours(corpus, s3, Math.max(...workers))];
  if (!oursOnly && bench.machine.tools.aws !== undefined) ways.push(oldWay(corpus, s3, place));
  // A server in memory keeps what is deleted for a while: a gigabyte a save would fill it.
  const rounds = corpus.tree.bytes > LARGE_BYTES ? 1 : runs;
  const saved = await runRounds(
    ways.map((way) => saver(corpus, way, s3)),
    rounds,
    bench.log,
  );
  const restored = await runRounds(
    ways.map((way) => restorer(corpus, way, { place, prefix: `${corpus.name}/${way.id}/0` })),
    runs,
    bench.log,
  );
  const verified = corpus.name === 'V' ? await runRounds([bundleCheck(corpus)], runs, bench.log) : [];
  await rm(place, { recursive: true });
  return [...saved, ...restored, ...verified];
}

const LARGE_BYTES = 900_000_000;

/** One way of doing both; `prefix` is where the entry lies in the bucket. */
export interface Way {
  id: string;
  label: string;
  ours: boolean;
  save: (prefix: string) => Command;
  restore: (prefix: string, project: string) => Command;
}

export function ours(corpus: Corpus, s3: S3Place, workers: number): Way {
  const command = (action: string, prefix: string, project: string): Command =>
    cliCommand(['-C', project, action, ...corpus.recipe], {
      ...awsEnvironment(s3),
      CACHE_S3_BUCKET: s3.bucket,
      CACHE_S3_PREFIX: prefix,
      CACHE_WORKERS: String(workers),
      // Of no meaning but for V: Bundler must look where its gems are.
      BUNDLE_PATH: 'vendor/bundle',
    });
  return {
    id: `ours-${workers}`,
    label: `ours, gzip, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    ours: true,
    save: (prefix) => command('save', prefix, corpus.dir),
    restore: (prefix, project) => command('restore', prefix, project),
  };
}

export function cliCommand(args: readonly string[], env: Record<string, string>): Command {
  return { program: process.execPath, args: [CLI, ...args], env };
}

function oldWay(corpus: Corpus, s3: S3Place, place: string): Way {
  const file = join(place, 'old-way.tar.gz');
  const aws = `'${programOf('aws')}' --endpoint-url '${s3.endpoint}' s3 cp --quiet`;
  const url = (prefix: string) => `'s3://${s3.bucket}/${prefix}/old-way.tar.gz'`;
  const timed = (script: string, cwd: string): Command => ({
    ...shell(script, cwd),
    env: awsEnvironment(s3),
  });
  const roots = corpus.roots.join(' ');
  return {
    id: 'old-way',
    label: '`tar` and `aws s3 cp`',
    ours: false,
    save: (prefix) =>
      timed(`tar -czf '${file}' ${roots}; ${aws} '${file}' ${url(prefix)}; rm '${file}'`, corpus.dir),
    restore: (prefix, project) =>
      timed(`${aws} ${url(prefix)} '${file}'; tar -xzf '${file}'; rm '${file}'`, project),
  };
}

function saver(corpus: Corpus, way: Way, s3: S3Place): Contender {
  const prefix = (round: number) => `${corpus.name}/${way.id}/${round}`;
  return {
    id: `${corpus.name}/save/${way.id}`,
    label: way.label,
    ours: way.ours,
    command: (round) => way.save(prefix(round)),
    after: async (round) => ({ storedBytes: await s3.sizeUnder(prefix(round)) }),
  };
}

/** @param prefix where the entry lies that is restored */
export function restorer(
  corpus: Corpus,
  way: Way,
  { place, prefix }: { place: string; prefix: string },
): Contender {
  const project = join(place, 'project');
  return {
    id: `${corpus.name}/restore/${way.id}`,
    label: way.label,
    ours: way.ours,
    before: async () => {
      await rm(project, { recursive: true, force: true });
      for (const file of corpus.lockfiles) {
        mkdirSync(dirname(join(project, file)), { recursive: true });
        cpSync(join(corpus.dir, file), join(project, file));
      }
    },
    command: () => way.restore(prefix, project),
    after: async (round) => {
      if (round === 0) await expectWhole(corpus, project);
      await rm(project, { recursive: true });
      return {};
    },
  };
}

/** What the bundle recipe's verification costs by itself: our restore of V includes it, the old way has none. */
function bundleCheck(corpus: Corpus): Contender {
  return {
    id: `${corpus.name}/verify/bundle-check`,
    label: '`bundle check`',
    command: () => ({
      program: 'bundle',
      args: ['check'],
      cwd: corpus.dir,
      env: { BUNDLE_PATH: 'vendor/bundle' },
    }),
  };
}

export function awsEnvironment(s3: S3Place): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: s3.endpoint,
  };
}
