/**
 * Unpacking where `foo` and `FOO`, or two Unicode forms of one text, are one name: what is found first keeps it, everything else is
 * refused, and nothing goes through a symlink. Several advisories against node-tar are about such file systems.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mountFoldingDisk, whyNoFolding, type FoldingDisk } from '../../support/folding.ts';
import { makeRandomTree, snapshotTree } from '../../support/tree.ts';
import { asMembers, forge } from '../forge.ts';
import { packBytes, SEAL } from '../packing.ts';
import { rawTar, type RawEntry } from '../tar-blocks.ts';
import { ROOT, temporaryDir, unpackBytes, type Unpacking } from '../unpacking.ts';

const why = whyNoFolding();
const bytes = (text: string): string => Buffer.from(text).toString('latin1');
const inRoot = (path: string): string => bytes(`${ROOT}/${path}`);
const file = (path: string, data = 'pwned'): RawEntry => ({ path: inRoot(path), data });
const directory = (path: string): RawEntry => ({ type: '5', path: inRoot(`${path}/`), mode: 0o755 });
const symlink = (path: string, linkPath: string): RawEntry => ({ type: '2', path: inRoot(path), linkPath });
const hardlink = (path: string, to: string): RawEntry => ({
  type: '1',
  path: inRoot(path),
  linkPath: inRoot(to),
});
/** By this file system, which is not the archive's fault. */
const REFUSED = { code: 'TARGET_REFUSED' };

describe.skipIf(why !== undefined)(
  `a file system that folds names${why === undefined ? '' : ` (${why})`}`,
  () => {
    let disk: FoldingDisk;
    beforeAll(async () => {
      disk = await mountFoldingDisk();
    });
    afterAll(() => disk.unmount());

    /** Something worth attacking beside the target. */
    function makeBase(): string {
      const base = mkdtempSync(join(disk.path, 'base-'));
      mkdirSync(join(base, 'outside'));
      mkdirSync(join(base, 'stage'));
      writeFileSync(join(base, 'outside/secret'), 'secret');
      return base;
    }

    async function expectRefused(
      parts: (base: string) => RawEntry[],
      more: Partial<Unpacking> = {},
    ): Promise<void> {
      const base = makeBase();
      const tar = rawTar(...parts(base));
      const isOurs = forge(asMembers(tar, parts(base).length, parts(base)[0]!.path!), {
        compression: 'gzip',
      });
      for (const [n, archive] of [gzipSync(tar), isOurs].entries()) {
        const dir = join(base, 'stage', `out-${n}`);
        const unpacked = unpackBytes(archive, { compression: 'gzip', dir, ...more });
        await expect(unpacked).rejects.toMatchObject(REFUSED);
        expect(readdirSync(join(base, 'outside'))).toEqual(['secret']);
        expect(readFileSync(join(base, 'outside/secret'), 'utf8')).toBe('secret');
      }
    }

    it('is one', () => {
      const base = makeBase();
      expect(existsSync(join(base, 'OUTSIDE/Secret'))).toBe(true);
      symlinkSync('outside', join(base, 'caf\u00e9'));
      expect(existsSync(join(base, 'cafe\u0301/secret'))).toBe(true);
    });

    const PAIRS = [
      ['CVE-2021-37701', 'FOO', 'foo'],
      ['CVE-2021-37712', 'caf\u00e9', 'cafe\u0301'],
      ['CVE-2026-23950', 'straße', 'STRASSE'],
      ['CVE-2026-23950', '\ufb03', 'ffi'],
    ] as const;

    describe.each(PAIRS)('%s: %s and %s', (_id, a, b) => {
      it.each([0, 2])('a directory and a symlink that leads outside, %i workers', async (workers) => {
        await expectRefused(
          (base) => [directory(a), symlink(b, join(base, 'outside')), file(`${a}/secret`), file(`${b}/new`)],
          { workers },
        );
        await expectRefused(
          (base) => [symlink(b, join(base, 'outside')), directory(a), file(`${a}/secret`)],
          { workers },
        );
      });

      it('two files, a file and a directory, a file and links', async () => {
        await expectRefused(() => [file(a), file(b)]);
        await expectRefused(() => [file(a), directory(b), file(`${b}/x`)]);
        await expectRefused((base) => [file(a), symlink(b, join(base, 'outside/secret'))]);
        await expectRefused(() => [file(a), file('other'), hardlink(b, 'other')]);
      });

      it('two directories', async () => {
        await expectRefused(() => [file(`${a}/x`), directory(a), file(`${b}/y`), directory(b)]);
        await expectRefused(() => [
          directory('d'),
          file(`d/${a}/x`),
          directory(`d/${a}`),
          directory(`d/${b}`),
        ]);
      });
    });

    it('takes an honest tree as any other does', async () => {
      const dir = temporaryDir();
      makeRandomTree(join(dir, ROOT), { seed: 2, files: 100 });
      const out = join(makeBase(), 'stage/out');
      const expected = { keyDigest: SEAL.keyDigest, recipe: SEAL.recipe, runtime: SEAL.runtime };
      await unpackBytes(await packBytes({ dir }), { compression: 'gzip', dir: out, workers: 2, expected });
      expect(snapshotTree(out)).toEqual(snapshotTree(join(dir, ROOT)));
    });
  },
);
