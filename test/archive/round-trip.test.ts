/** unpack ∘ pack = identity: bytes, modes, times to the microsecond, links, names. */
import fc from 'fast-check';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  lutimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pack } from '../../src/archive/pack/pack.ts';
import type { Compression } from '../../src/archive/types.ts';
import { makeRandomTree, snapshotTree } from '../support/tree.ts';
import { isRoot } from '../support/user.ts';
import { FORGED_KEY, forge, treeMembers } from './forge.ts';
import { COMPRESSIONS, LIMITS, ROOT, temporaryDir, unpackBytes } from './unpacking.ts';

const SEAL = { keyDigest: FORGED_KEY, recipe: 'npm', runtime: 'linux-x64-node115', installSeconds: 1.5 };

describe.each(COMPRESSIONS)('a tree through %s', (compression) => {
  it('comes back identical, whatever is in it and however the stream is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        tree,
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 2, max: 40 }),
        async (nodes, chunk, blocks) => {
          const base = temporaryDir();
          makeTree(join(base, ROOT), nodes);
          // Small members: many of them, and most files in pieces.
          const bytes = forge(treeMembers(base, ROOT, blocks * 512), { compression });
          const dir = join(base, 'out');
          const summary = await unpackBytes(bytes, { compression, dir, chunk, mustBeOurs: true });
          expect(snapshotTree(dir)).toEqual(snapshotTree(join(base, ROOT)));
          expect(summary).toMatchObject({
            isOurs: true,
            storedBytes: bytes.length,
            roots: [ROOT],
            installSeconds: 1.5,
          });
          rmSync(base, { recursive: true });
        },
      ),
      { numRuns: 60, seed: 3 },
    );
  });

  it.each([1, 2, 5])('comes back identical from the packer, unpacked by %i workers', async (workers) => {
    for (const seed of [1, 2]) {
      const base = temporaryDir();
      makeRandomTree(join(base, ROOT), { seed: seed * 10 + workers, files: 150 });
      // Larger than a member, so in pieces; read-only, which only its mode at the end may be.
      writeFileSync(join(base, ROOT, 'large.bin'), Buffer.alloc(5_000_123, 'some words '), { mode: 0o444 });
      utimesSync(join(base, ROOT, 'large.bin'), 1_600_000_000.123456, 1_600_000_000.123456);
      const bytes = await packed(base, compression);
      const dir = join(base, 'out');
      const summary = await unpackBytes(bytes, {
        compression,
        dir,
        workers,
        mustBeOurs: true,
        chunk: 100_000,
      });
      expect(snapshotTree(dir)).toEqual(snapshotTree(join(base, ROOT)));
      expect(summary.files).toBe(Object.keys(snapshotTree(dir)).length + 1);
    }
  });
});

async function packed(base: string, compression: Compression): Promise<Buffer> {
  const { body } = pack({
    dir: base,
    roots: [ROOT],
    excludes: [],
    compression,
    workers: 1,
    limits: LIMITS,
    seal: SEAL,
    signal: new AbortController().signal,
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

interface Node {
  kind: 'file' | 'directory' | 'symlink' | 'hardlink';
  name: Buffer;
  /** Of what it hangs below, among the directories before it. */
  parent: number;
  mode: number;
  mtimeUs: number;
  data: Uint8Array;
  to: string;
}

/** Names of any bytes but `/` and NUL. */
const name = fc
  .oneof(
    { weight: 4, arbitrary: fc.string({ minLength: 1, maxLength: 20 }).map((text) => Buffer.from(text)) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ minLength: 1, maxLength: 60, min: 1 }).map((bytes) => Buffer.from(bytes)),
    },
    {
      weight: 1,
      arbitrary: fc
        .string({ minLength: 95, maxLength: 200, unit: 'grapheme-ascii' })
        .map((text) => Buffer.from(text)),
    },
  )
  .map((bytes) =>
    Buffer.from(bytes.map((byte) => (byte === 0x2f || byte === 0 ? 0x5f : byte))).subarray(0, 250),
  )
  .filter((bytes) => !['.', '..'].includes(bytes.toString('latin1')));

const node: fc.Arbitrary<Node> = fc.record({
  kind: fc.constantFrom('file', 'file', 'file', 'directory', 'symlink', 'hardlink'),
  name,
  parent: fc.nat(),
  mode: fc.constantFrom(0o644, 0o755, 0o600, 0o444, 0o400, 0o775, 0o777, 0o700, 0o500),
  mtimeUs: fc.oneof(fc.integer({ min: 0, max: 4e15 }), fc.constantFrom(0, 1, 999_999, 8_589_934_592e6, 9e15)),
  data: fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc.integer({ min: 0, max: 30_000 }).map((length) => new Uint8Array(length).fill(7)),
  ),
  to: fc.oneof(
    fc.constantFrom('..', '/etc/passwd', '.', 'a'.repeat(300)),
    fc.string({ minLength: 1 }).filter((to) => !to.includes('\0')),
  ),
});

const tree = fc.array(node, { maxLength: 25 });

function makeTree(root: string, nodes: readonly Node[]): void {
  mkdirSync(root);
  const directories = [Buffer.from(root)];
  const files: Buffer[] = [];
  const settled: (() => void)[] = [];
  const taken = new Set<string>();
  for (const { kind, name, parent, mode, mtimeUs, data, to } of nodes) {
    const path = Buffer.concat([directories[parent % directories.length]!, Buffer.from('/'), name]);
    if (taken.has(path.toString('latin1')) || path.length > 3000) continue;
    taken.add(path.toString('latin1'));
    const seconds = (mtimeUs + 0.5) / 1e6;
    if (kind === 'directory') {
      mkdirSync(path);
      directories.push(path);
      settled.unshift(() => {
        utimesSync(path, seconds, seconds);
        // An ordinary user can neither read nor remove a directory without these.
        chmodSync(path, isRoot() ? mode : mode | 0o700);
      });
    } else if (kind === 'symlink') {
      symlinkSync(to, path);
      lutimesSync(path, seconds, seconds);
    } else if (kind === 'hardlink' && files.length > 0) {
      linkSync(files[parent % files.length]!, path);
    } else {
      writeFileSync(path, data);
      chmodSync(path, mode);
      utimesSync(path, seconds, seconds);
      files.push(path);
    }
  }
  for (const settle of settled) settle();
}
