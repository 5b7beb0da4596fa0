/** How fast the service is from here. */
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { ask, type Asking, send } from './asking.ts';
import type { Answer, Throughput } from './facts.ts';
import type { Scratch } from './scratch.ts';

const KIB = 1024;
const PILOT_BYTES = 256 * KIB;
const MOST_BYTES = 8 * KIB * KIB;
/** What one measurement should take, seconds. */
const AIM_SECONDS = 1.5;
const ROUNDS = 5;
const CONNECTIONS = 4;

/** The name of the object that `askUpload` leaves for `askDownload`. */
export const LARGE = 'large';

/** Milliseconds of one small request: the median of five. */
export async function askLatency(asking: Asking, prefix: string): Promise<Answer<number>> {
  return ask(asking, 's3:ListBucket', async () => {
    const command = new ListObjectsV2Command({
      Bucket: asking.connection.bucket,
      Prefix: prefix,
      MaxKeys: 1,
    });
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const started = performance.now();
      await send(asking, (client, options) => client.send(command, options));
      times.push(performance.now() - started);
    }
    return times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]!;
  });
}

/** Sends at most 12.25 MiB, less where the network is slow. @returns the speed and the size of `LARGE` */
export async function askUpload(
  asking: Asking,
  scratch: Scratch,
): Promise<{ upload: Answer<Throughput>; bytes: number }> {
  let bytes = 0;
  const upload = await ask(asking, 's3:PutObject', async () => {
    const pilot = await rate(PILOT_BYTES, () => scratch.put('pilot', randomBytes(PILOT_BYTES)));
    const size = Math.round(Math.min(MOST_BYTES, Math.max(PILOT_BYTES, pilot * AIM_SECONDS)));
    const one = await rate(size, () => scratch.put(LARGE, randomBytes(size)));
    bytes = size;
    const share = Math.ceil(size / 2 / CONNECTIONS);
    const bodies = Array.from({ length: CONNECTIONS }, () => randomBytes(share));
    const four = await rate(share * CONNECTIONS, () =>
      Promise.all(bodies.map((body, n) => scratch.put(`part-${n}`, body))),
    );
    return { one, four };
  });
  return { upload, bytes };
}

/** Reads an object, or the beginning of a large one, twice. */
export async function askDownload(asking: Asking, key: string, size: number): Promise<Answer<Throughput>> {
  return ask(asking, 's3:GetObject', async () => {
    const bytes = Math.min(size, MOST_BYTES);
    const one = await rate(bytes, () => read(asking, key, { start: 0, end: bytes }));
    const share = Math.ceil(bytes / CONNECTIONS);
    const four = await rate(bytes, () =>
      Promise.all(
        Array.from({ length: CONNECTIONS }, (_, n) => ({
          start: n * share,
          end: Math.min(bytes, (n + 1) * share),
        }))
          .filter(({ start, end }) => start < end)
          .map((range) => read(asking, key, range)),
      ),
    );
    return { one, four };
  });
}

async function read(
  asking: Asking,
  key: string,
  { start, end }: { start: number; end: number },
): Promise<void> {
  const command = new GetObjectCommand({
    Bucket: asking.connection.bucket,
    Key: key,
    Range: `bytes=${start}-${end - 1}`,
  });
  const answer = await send(asking, (client, options) => client.send(command, options));
  const body = answer.Body as unknown as Readable;
  let left = end - start;
  for await (const chunk of body) {
    asking.signal.throwIfAborted();
    left -= (chunk as Buffer).length;
    // A service that knows no ranges sends all of it.
    if (left <= 0) break;
  }
}

/** Bytes a second. */
async function rate(bytes: number, work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (bytes * 1000) / Math.max(1, performance.now() - started);
}
