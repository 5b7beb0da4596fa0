/** Whatever has changed since the restore: the archive is the one that packing all of the tree makes. */
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isHeld, type Chunk } from '../../../src/async/chunks.ts';
import { packWith } from '../../../src/archive/pack/pack.ts';
import { lookWith, type RestoredEntry } from '../../../src/archive/pack/unchanged.ts';
import type { Pool } from '../../../src/archive/workers/pool.ts';
import { randomSource, type RandomSource } from '../../support/tree.ts';
import { createInlinePool, noise, PACK_OPTIONS, packBytes, SEAL } from '../packing.ts';
import { ROOT, temporaryDir, unpackBytes } from '../unpacking.ts';

const EXPECTED = { keyDigest: SEAL.keyDigest, recipe: SEAL.recipe, runtime: SEAL.runtime };
const OPTIONS = { ...PACK_OPTIONS, packages: [`${ROOT}/*`], madeTimes: { except: [] } };
const PACKAGES = 24;

interface Restored {
  dir: string;
  /** The archive that was restored. */
  base: Buffer;
  files: string[];
}

/** Packages of up to 700 KB and one file of several members, restored from an archive of them. */
async function restoreTree(seed: number): Promise<Restored> {
  const random = randomSource(seed);
  const dir = temporaryDir();
  const files: string[] = [];
  const put = (path: string, length: number): void => {
    mkdirSync(dirname(join(dir, ROOT, path)), { recursive: true });
    writeFileSync(join(dir, ROOT, path), noise(files.length + seed, length));
    files.push(path);
  };
  for (let n = 0; n < PACKAGES; n++)
    for (let file = 0; file < 4; file++) put(`package-${n}/lib/file-${file}.js`, random.below(180_000));
  put('large/large.bin', 5_000_000);
  const base = await packBytes({ ...OPTIONS, dir });
  rmSync(join(dir, ROOT), { recursive: true });
  return { dir, base, files };
}

async function restore({ dir, base }: Restored): Promise<RestoredEntry> {
  const { members } = await unpackBytes(base, {
    compression: 'gzip',
    dir: join(dir, ROOT),
    mustBeOurs: true,
    expected: EXPECTED,
  });
  return lookWith(createInlinePool, members, { ...OPTIONS, dir });
}

/** @returns the archive, and how many members were packed for it */
async function packOn(
  { dir, base }: Restored,
  restored: RestoredEntry,
  options: Partial<typeof OPTIONS> = {},
): Promise<{ bytes: Buffer; packed: number; members: number }> {
  let packed = 0;
  const counting = (): Pool => {
    const pool = createInlinePool();
    return {
      ...pool,
      run(job) {
        if (job.type === 'pack') packed++;
        return pool.run(job);
      },
    };
  };
  const parts: Uint8Array[] = [];
  const chunks: Chunk[] = [];
  for await (const chunk of packWith(counting, { ...OPTIONS, dir, ...options }, restored).chunks) {
    chunks.push(chunk);
    parts.push(isHeld(chunk) ? base.subarray(chunk.offset, chunk.offset + chunk.length) : chunk);
  }
  return { bytes: Buffer.concat(parts), packed, members: restored.members.length };
}

const CHANGES: Record<string, (path: string, random: RandomSource) => void> = {
  'another content of the same size and time': (path) => {
    const { size, atimeMs, mtimeMs } = lstatSync(path);
    writeFileSync(path, noise(size % 251, size));
    utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
  },
  'a file of the same size and time in its place': (path) => {
    const { size, atimeMs, mtimeMs } = lstatSync(path);
    writeFileSync(`${path}.new`, noise(3, size));
    utimesSync(`${path}.new`, atimeMs / 1000, mtimeMs / 1000);
    renameSync(`${path}.new`, path);
  },
  'a new file': (path, random) => writeFileSync(`${path}-new`, noise(7, random.below(90_000))),
  'a file less': (path) => rmSync(path),
  'a package less': (path) => rmSync(dirname(dirname(path)), { recursive: true }),
  'another mode': (path) => chmodSync(path, 0o755),
  'another name of the same file': (path) => linkSync(path, `${path}.link`),
  'another mode of a directory': (path) => chmodSync(dirname(path), 0o700),
};

describe('packing on a restored entry', () => {
  it('packs one member of a tree that has not changed, and the end', async () => {
    const tree = await restoreTree(1);
    const restored = await restore(tree);
    const { bytes, packed, members } = await packOn(tree, restored);
    expect(bytes.equals(tree.base)).toBe(true);
    expect(members).toBeGreaterThan(8);
    expect(packed).toBe(2);
  });

  it.each(Object.keys(CHANGES))('sees %s', async (change) => {
    const tree = await restoreTree(2);
    const restored = await restore(tree);
    CHANGES[change]!(join(tree.dir, ROOT, tree.files[9]!), randomSource(1));
    const { bytes, packed, members } = await packOn(tree, restored);
    expect(bytes.equals(await packBytes({ ...OPTIONS, dir: tree.dir }))).toBe(true);
    expect(bytes.equals(tree.base)).toBe(false);
    expect(packed).toBeLessThan(members / 2);
  });

  it.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'makes what packing all makes, whatever has changed (seed %i)',
    async (seed) => {
      const random = randomSource(seed);
      const tree = await restoreTree(seed);
      const restored = await restore(tree);
      const names = Object.keys(CHANGES);
      for (let n = random.below(5); n >= 0; n--) {
        const path = join(tree.dir, ROOT, tree.files[random.below(tree.files.length)]!);
        if (lstatSync(path, { throwIfNoEntry: false }) === undefined) continue;
        CHANGES[names[random.below(names.length)]!]!(path, random);
      }
      const { bytes } = await packOn(tree, restored);
      expect(bytes.equals(await packBytes({ ...OPTIONS, dir: tree.dir }))).toBe(true);
    },
  );

  it('packs all where the entry was packed in another way', async () => {
    const tree = await restoreTree(3);
    const restored = await restore(tree);
    const otherLevel = await packOn(tree, restored, { level: 1 });
    expect(otherLevel.bytes.equals(await packBytes({ ...OPTIONS, dir: tree.dir, level: 1 }))).toBe(true);
    expect(otherLevel.packed).toBeGreaterThanOrEqual(otherLevel.members);
  });

  it('packs all where the tree is not what the entry holds', async () => {
    const tree = await restoreTree(4);
    const { members } = await restore(tree);
    writeFileSync(join(tree.dir, ROOT, 'more'), 'something beside it');
    const restored = await lookWith(createInlinePool, members, { ...OPTIONS, dir: tree.dir });
    const { bytes, packed } = await packOn(tree, restored);
    expect(bytes.equals(await packBytes({ ...OPTIONS, dir: tree.dir }))).toBe(true);
    expect(packed).toBeGreaterThanOrEqual(members.length);
  });

  it('makes the bytes of a member that somebody wants after all, as a body', async () => {
    const tree = await restoreTree(5);
    const restored = await restore(tree);
    writeFileSync(join(tree.dir, ROOT, tree.files[0]!), readFileSync(join(tree.dir, ROOT, tree.files[1]!)));
    const parts: Uint8Array[] = [];
    const { body } = packWith(createInlinePool, { ...OPTIONS, dir: tree.dir }, restored);
    for await (const bytes of body) parts.push(bytes);
    expect(Buffer.concat(parts).equals(await packBytes({ ...OPTIONS, dir: tree.dir }))).toBe(true);
  });

  it('does not hand out bytes that are not those it has named', async () => {
    const tree = await restoreTree(6);
    const restored = await restore(tree);
    const { chunks } = packWith(createInlinePool, { ...OPTIONS, dir: tree.dir }, restored);
    const reading = (async () => {
      for await (const chunk of chunks) {
        if (!isHeld(chunk)) continue;
        for (const file of tree.files) writeFileSync(join(tree.dir, ROOT, file), 'changed');
        await chunk.read();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });
});
