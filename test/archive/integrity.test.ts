/**
 * Nothing of our own archives can change unnoticed: seeded, in short. `test/fuzz/flip.ts` runs as many as one wants, and
 * `test/fuzz/flip-built.ts` through the built command and a server.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeRandomTree, randomSource } from '../support/tree.ts';
import { FORGED_KEY, forge, forgeParts, treeMembers, type ForgedMember } from './forge.ts';
import { damage, DAMAGES } from './damage.ts';
import { COMPRESSIONS, expectBothRefuse, ROOT, temporaryDir, unpackBytes } from './unpacking.ts';

/** A member that is there twice may be noticed by its files first. */
const NOTICED = expect.stringMatching(/^ARCHIVE_(CORRUPT|TRUNCATED|REFUSED)$/);

describe.each(COMPRESSIONS)('an archive with %s', (compression) => {
  let base: string;
  let parts: Buffer[];
  const out = (): string => join(base, 'out');

  beforeAll(() => {
    base = temporaryDir();
    makeRandomTree(join(base, ROOT), { seed: 11, files: 40, maxSize: 4096 });
    writeFileSync(join(base, ROOT, 'large'), randomSource(5).bytes(20_000));
    parts = forgeParts(treeMembers(base, ROOT, 4096), { compression });
  });

  async function unpackDamaged(bytes: Buffer, what: string): Promise<void> {
    try {
      await expectBothRefuse(
        bytes,
        { compression, dir: out() },
        { what, code: NOTICED, message: expect.stringMatching(/^The archive/) },
      );
    } finally {
      rmSync(out(), { recursive: true, force: true });
    }
  }

  it('is sound to begin with', async () => {
    await unpackBytes(Buffer.concat(parts), { compression, dir: out() });
    rmSync(out(), { recursive: true });
  });

  it.each(DAMAGES)('is refused with %s', async (kind) => {
    const random = randomSource(1);
    for (let n = 0; n < 60; n++) {
      const { bytes, what } = damage(parts, kind, random);
      await unpackDamaged(bytes, what);
    }
  });

  it('is refused with any bit of its frames flipped', async () => {
    // The first frame and all of the trailer, bit by bit: what says whose format it is, and what it is.
    const whole = Buffer.concat(parts);
    const places = [
      ...Array(60).keys(),
      ...Array.from({ length: parts.at(-1)!.length }, (_, n) => whole.length - 1 - n),
    ];
    for (const at of places) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 1 << (at % 8);
      await unpackDamaged(bytes, `byte ${at}`);
    }
  });
});

describe('an archive that lies with every digest right', () => {
  const tree = (): string => {
    const base = temporaryDir();
    makeRandomTree(join(base, ROOT), { seed: 12, files: 30, maxSize: 2048 });
    writeFileSync(join(base, ROOT, 'large'), randomSource(6).bytes(20_000));
    return base;
  };

  it.each<[string, Parameters<typeof forge>[1]['trailer']]>([
    ['fewer members', ({ members }) => ({ members: members - 1 })],
    ['more tar', ({ tarBytes }) => ({ tarBytes: tarBytes + 512 })],
    ['more entries', ({ entries }) => ({ entries: entries + 1 })],
    ['another place of the index', ({ indexOffset }) => ({ indexOffset: indexOffset - 1 })],
    ['another root digest', () => ({ rootDigest: Buffer.alloc(32) })],
  ])('about %s in its trailer', async (_what, trailer) => {
    const base = tree();
    const bytes = forge(treeMembers(base, ROOT, 4096), { compression: 'gzip', ...(trailer && { trailer }) });
    await expectBothRefuse(
      bytes,
      { compression: 'gzip', dir: join(base, 'out') },
      { code: 'ARCHIVE_CORRUPT', message: expect.stringContaining('trailer') },
    );
  });

  it.each<[string, NonNullable<Parameters<typeof forge>[1]['index']>]>([
    ['a length', ([first, ...rest]) => [{ ...first!, storedLength: first!.storedLength + 1 }, ...rest]],
    ['a digest', ([first, ...rest]) => [{ ...first!, digest: Buffer.alloc(32) }, ...rest]],
    ['a name', ([first, ...rest]) => [{ ...first!, firstPath: Buffer.from('x') }, ...rest]],
    ['the order', ([first, second, ...rest]) => [second!, first!, ...rest]],
    ['the number of members', ([, ...rest]) => rest],
    ['a member that it lacks', (members) => members.slice(0, -1)],
    ['a member too many', (members) => [...members, members[0]!]],
  ])('about %s in its index', async (_what, index) => {
    const base = tree();
    for (const compression of ['gzip', 'none'] as const) {
      const bytes = forge(treeMembers(base, ROOT, 4096), { compression, index });
      await expectBothRefuse(
        bytes,
        { compression, dir: join(base, compression) },
        { code: 'ARCHIVE_CORRUPT', message: /index|members/ },
      );
    }
  });

  it.each<[string, (members: ForgedMember[]) => ForgedMember[]]>([
    ['ends before its last member', (members) => [...members.slice(0, -2), members.at(-1)!, members.at(-2)!]],
    ['ends twice', (members) => [...members, members.at(-1)!]],
    ['does not end', (members) => members.slice(0, -1)],
  ])('about its tar, which %s', async (_what, change) => {
    const base = temporaryDir();
    makeRandomTree(join(base, ROOT), { seed: 3, files: 12, maxSize: 900 });
    const members = change(treeMembers(base, ROOT, 4096));
    expect(members.length).toBeGreaterThan(2);
    for (const compression of ['gzip', 'none'] as const)
      await expectBothRefuse(
        forge(members, { compression }),
        { compression, dir: join(base, compression) },
        { code: 'ARCHIVE_CORRUPT' },
      );
  });

  it('about where its members are: some come after an index', async () => {
    const base = tree();
    for (const compression of ['gzip', 'none'] as const)
      await expectBothRefuse(
        forge(treeMembers(base, ROOT, 4096), { compression, indexAfter: 2 }),
        { compression, dir: join(base, compression) },
        { code: 'ARCHIVE_CORRUPT', message: expect.stringContaining('after its index') },
      );
  });

  it.each<[string, (n: number) => number[]]>([
    ['missing', (n) => Array.from({ length: n }, (_, i) => i).filter((i) => i !== 1)],
    ['missing, and all others too', () => []],
    ['missing at the end', (n) => Array.from({ length: n - 1 }, (_, i) => i)],
    ['missing at the beginning', (n) => Array.from({ length: n - 1 }, (_, i) => i + 1)],
    ['twice', (n) => [0, 0, ...Array.from({ length: n - 1 }, (_, i) => i + 1)]],
    ['in another order', (n) => [1, 0, ...Array.from({ length: n - 2 }, (_, i) => i + 2)]],
  ])('about a large file: a piece is %s', async (_what, order) => {
    const base = temporaryDir();
    makeRandomTree(join(base, ROOT), { seed: 1, files: 0 });
    writeFileSync(join(base, ROOT, 'large'), randomSource(6).bytes(30_000));
    const members = treeMembers(base, ROOT, 4096);
    const pieces = members.filter(({ piece }) => piece !== undefined);
    expect(pieces.length).toBeGreaterThan(3);
    const at = members.indexOf(pieces[0]!);
    const changed = [
      ...members.slice(0, at),
      ...order(pieces.length).map((n) => pieces[n]!),
      ...members.slice(at + pieces.length),
    ];
    await expectBothRefuse(
      forge(changed, { compression: 'gzip' }),
      { compression: 'gzip', dir: join(base, 'out') },
      { code: 'ARCHIVE_CORRUPT', message: /file/ },
    );
  });

  it.each<[string, object]>([
    ['path', { path: Buffer.from('node_modules/small') }],
    ['size', { size: 40_000 }],
    ['smaller size', { size: 29_000 }],
    ['mode', { mode: 0o777 }],
    ['time', { mtimeUs: 1 }],
    ['offset', { offset: 1024 }],
  ])('about the %s of a large file', async (_what, lie) => {
    const base = temporaryDir();
    makeRandomTree(join(base, ROOT), { seed: 1, files: 0 });
    writeFileSync(join(base, ROOT, 'large'), randomSource(6).bytes(30_000));
    writeFileSync(join(base, ROOT, 'small'), 'small');
    for (const which of ['all', 'first', 'last']) {
      const members = treeMembers(base, ROOT, 4096);
      const pieces = members.filter(({ piece }) => piece !== undefined);
      const lying = which === 'all' ? pieces : pieces.slice(...(which === 'first' ? [0, 1] : [-1]));
      for (const member of lying) member.piece = { ...member.piece!, ...lie };
      await expectBothRefuse(
        forge(members, { compression: 'gzip' }),
        { compression: 'gzip', dir: join(base, which) },
        { code: 'ARCHIVE_CORRUPT' },
      );
    }
  });

  it('about what it is: another lockfile, recipe or runtime', async () => {
    const base = tree();
    const lies: [object, string][] = [
      [{ keyDigest: Buffer.alloc(32) }, FORGED_KEY],
      [{ recipe: 'bundle' }, 'bundle'],
      [{ runtime: 'linux-arm64-node115' }, 'arm64'],
    ];
    for (const [trailer, name] of lies) {
      const bytes = forge(treeMembers(base, ROOT, 4096), { compression: 'gzip', trailer: () => trailer });
      await expectBothRefuse(
        bytes,
        { compression: 'gzip', dir: join(base, name) },
        { code: 'ARCHIVE_MISMATCH', message: expect.stringContaining(name) },
      );
    }
  });

  it('about whose it is: metadata says ours, the archive does not', async () => {
    const base = tree();
    const foreign = treeMembers(base, ROOT, 1e9).map(({ tar }) => tar);
    await expectBothRefuse(
      Buffer.concat(foreign),
      { compression: 'none', dir: join(base, 'out'), mustBeOurs: true },
      { code: 'ARCHIVE_CORRUPT' },
    );
  });
});
