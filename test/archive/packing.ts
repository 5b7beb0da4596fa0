/** Packing in tests: with real workers or with their handlers in this process, which starts at once. */
import { createCipheriv } from 'node:crypto';
import { lookAgain } from '../../src/archive/pack/look-again.ts';
import { createMemberPacker } from '../../src/archive/pack/pack-member.ts';
import { packWith } from '../../src/archive/pack/pack.ts';
import { createPool, type Pool } from '../../src/archive/workers/pool.ts';
import type { Packing, PackOptions } from '../../src/archive/types.ts';
import { walk } from '../../src/archive/pack/walk.ts';
import { LIMITS, ROOT, workerEntry } from './unpacking.ts';

export const SEAL = {
  keyDigest: 'ab'.repeat(32),
  recipe: 'npm',
  runtime: 'linux-x64-node115',
  installSeconds: 12.5,
};

/** All but the directory. */
export const PACK_OPTIONS: Omit<PackOptions, 'dir'> = {
  roots: [ROOT],
  excludes: [],
  compression: 'gzip',
  workers: 1,
  limits: LIMITS,
  seal: SEAL,
  signal: new AbortController().signal,
};

export interface PackingOptions extends Partial<Omit<PackOptions, 'workers'>> {
  dir: string;
  /** Worker threads; 0: none, in this process. @default 0 */
  workers?: number;
}

export function startPacking({ workers = 0, ...options }: PackingOptions): Packing {
  return packWith(
    () => (workers === 0 ? createInlinePool() : createPool({ size: workers, entry: workerEntry() })),
    { ...PACK_OPTIONS, ...options },
  );
}

export async function packBytes(options: PackingOptions): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of startPacking(options).body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Bytes that nothing compresses, the same for the same seed. */
export function noise(seed: number, length: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** The handlers of a worker, here. */
export function createInlinePool(): Pool {
  const packMember = createMemberPacker();
  return {
    capacity: 2,
    async run(job) {
      const run = (): unknown => {
        if (job.type === 'walk') return walk(job).reply;
        if (job.type === 'pack') return packMember(job).reply;
        if (job.type === 'look') return lookAgain(job).reply;
        throw new Error(`no ${job.type} here`);
      };
      return run() as never;
    },
    async close() {},
  };
}
