import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createPool } from '../../../src/archive/workers/pool.ts';
import type { Job } from '../../../src/archive/workers/protocol.ts';
import { temporaryDir, workerEntry } from '../unpacking.ts';

const JOB: Job = { type: 'walk', base: '/nowhere', dirs: ['x'], excludes: [], budget: 1 };

/** A worker made for the test. */
function entryOf(source: string): URL {
  const path = join(temporaryDir(), 'worker.mjs');
  writeFileSync(path, `import { parentPort, threadId } from 'node:worker_threads';\n${source}`);
  return pathToFileURL(path);
}

describe('a worker that dies', () => {
  it.each([
    ['exits', 'parentPort.on("message", () => process.exit(7))', /exit code 7/],
    ['throws', 'parentPort.on("message", () => { throw new Error("oops") })', /oops/],
    ['does not start', 'throw new Error("no start")', /no start/],
    ['is not there', undefined, /Cannot find module/],
    [
      'answers with what cannot cross',
      'parentPort.on("message", () => parentPort.postMessage(Symbol("x")))',
      /without a reason/,
    ],
  ])('%s: rejects what it was doing and all that comes after', async (_, source, reason) => {
    const entry = source === undefined ? new URL('missing.mjs', entryOf('')) : entryOf(source);
    const pool = createPool({ size: 2, entry });
    const jobs = [pool.run(JOB), pool.run(JOB), pool.run(JOB)];
    for (const job of await Promise.allSettled(jobs))
      expect(job).toMatchObject({ status: 'rejected', reason: { code: 'WORKER_DIED' } });
    await expect(pool.run(JOB)).rejects.toMatchObject({
      code: 'WORKER_DIED',
      message: expect.stringMatching(reason),
      hint: expect.any(String),
    });
    await pool.close();
  });
});

describe('a pool', () => {
  it('gives work to all of its workers, and starts no more than it needs', async () => {
    const entry = entryOf(
      'parentPort.on("message", ({ id }) => setTimeout(() => parentPort.postMessage({ id, reply: threadId }), 20))',
    );
    const pool = createPool({ size: 3, entry });
    const first = await pool.run(JOB);
    expect(await pool.run(JOB)).toBe(first);
    const threads = await Promise.all(Array.from({ length: pool.capacity }, () => pool.run(JOB)));
    expect(new Set(threads).size).toBe(3);
    await pool.close();
  });

  it('starts all of its workers at once when asked to', async () => {
    const dir = temporaryDir();
    const entry = entryOf(
      `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(dir)} + '/' + threadId, '');`,
    );
    const pool = createPool({ size: 3, atOnce: true, entry });
    await expect.poll(() => readdirSync(dir).length).toBe(3);
    await pool.close();
  });

  it('hands over the errors of handlers as they were', async () => {
    const pool = createPool({ size: 1, entry: workerEntry() });
    await expect(pool.run(JOB)).rejects.toMatchObject({
      name: 'CacheError',
      code: 'SOURCE_CHANGED',
      message: 'x vanished while it was being packed',
      hint: expect.stringContaining('Save again'),
    });
    // The worker lives on.
    await expect(pool.run({ ...JOB, type: 'unheard of' } as unknown as Job)).rejects.toThrow(Error);
    await expect(pool.run({ ...JOB, dirs: [] })).resolves.toMatchObject({ dirs: [] });
    await pool.close();
  });

  it('closes at once, whatever its workers are doing', async () => {
    const pool = createPool({ size: 2, entry: entryOf('parentPort.on("message", () => { for (;;); })') });
    const jobs = Promise.allSettled([pool.run(JOB), pool.run(JOB), pool.run(JOB)]);
    await pool.close();
    for (const job of await jobs) expect(job.status).toBe('rejected');
    await expect(pool.run(JOB)).rejects.toThrow('closed');
    await pool.close();
  });
});
