/**
 * Every advisory published against node-tar, tar-fs and tar-stream, as the archive that made it possible. tar-stream has none of
 * its own. Titles name the CVE and, where there is one, the GitHub advisory.
 */
import { mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { snapshotTree } from '../../support/tree.ts';
import { expectContained, expectRefused, inRoot, makeTarget } from '../attack.ts';
import { gnuLong, paxEntry, rawEntry, rawTar, type RawEntry } from '../tar-blocks.ts';
import { LIMITS, listBytes, ROOT, unpackBytes } from '../unpacking.ts';

const file = (path: string, data = 'pwned'): RawEntry => ({ path, data });
const symlink = (path: string, linkPath: string): RawEntry => ({ type: '2', path, linkPath });
const hardlink = (path: string, linkPath: string): RawEntry => ({ type: '1', path, linkPath });
const directory = (path: string): RawEntry => ({ type: '5', path, mode: 0o755 });

const REFUSED = { code: 'ARCHIVE_REFUSED' };

describe('node-tar', () => {
  it('CVE-2015-8860, GHSA-gfjr-3jmm-4g9v: a file through a symlink that leads outside', () =>
    expectRefused(
      ({ base }) => [symlink(inRoot('a'), join(base, 'outside')), file(inRoot('a/secret'))],
      REFUSED,
    ));

  it('CVE-2018-20834, GHSA-j44m-qm6p-hp7m: a hard link to a file outside, then a file of that name', () =>
    expectRefused(
      ({ base }) => [hardlink(inRoot('a'), join(base, 'outside/secret')), file(inRoot('a'))],
      REFUSED,
    ));

  it('CVE-2021-32803, GHSA-r628-mhmh-qjhw: a directory, remembered, replaced by a symlink', () =>
    expectRefused(
      ({ base }) => [
        directory(inRoot('a/')),
        symlink(inRoot('a'), join(base, 'outside')),
        file(inRoot('a/secret')),
      ],
      REFUSED,
    ));

  it.each(['/', '//', '///', './/', '/./'])(
    'CVE-2021-32804, GHSA-3jfq-g458-7qm9: absolute names behind %s',
    (root) =>
      expectRefused(
        ({ base }) => [paxEntry({ path: `${root}${base.slice(1)}/outside/new` }), file('a')],
        REFUSED,
      ),
  );

  it('CVE-2021-37701, GHSA-9r2w-394v-53qc: a remembered directory by another name, with backslashes', () =>
    expectContained(
      ({ base }) => [
        directory(inRoot('a\\x/')),
        symlink(inRoot('a'), join(base, 'outside')),
        file(inRoot('a\\x/secret')),
      ],
      (dir) => expect(Object.keys(snapshotTree(dir)).sort()).toEqual(['a', 'a\\x', 'a\\x/secret']),
    ));

  it.each([
    ['CVE-2021-37701, GHSA-9r2w-394v-53qc', 'FOO', 'foo'],
    ['CVE-2021-37712, GHSA-qq89-hq3f-393p', 'caf\u00e9', 'cafe\u0301'],
    ['CVE-2026-23950, GHSA-r6q2-hw4h-h46w', 'straße', 'strasse'],
    ['CVE-2026-23950, GHSA-r6q2-hw4h-h46w', '\ufb03', 'ffi'],
  ])(
    '%s: "%s" and "%s" may be one name: the symlink comes after all files, so it finds the place taken',
    async (_id, a, b) => {
      const bytes = (text: string): string => Buffer.from(text).toString('latin1');
      const target = makeTarget();
      const parts = [
        directory(bytes(inRoot(`${a}/`))),
        symlink(bytes(inRoot(b)), join(target.base, 'outside')),
        file(bytes(inRoot(`${a}/secret`))),
        file(bytes(inRoot(`${a}/new`))),
      ];
      // folding.test.ts has a file system that folds. On this one they are two names, or the second is refused; in neither case is anything written outside.
      await unpackBytes(rawTar(...parts), { compression: 'none', dir: target.dir }).catch((error: unknown) =>
        expect(error).toMatchObject({ code: 'TARGET_REFUSED' }),
      );
      target.expectUntouched();
      expect(statSync(join(target.dir, a, 'secret')).isFile()).toBe(true);
    },
  );

  it('the same where both names are one: a symlink never takes the place of what is there', () =>
    expectRefused(({ base }) => [file(inRoot('a/b')), symlink(inRoot('a'), join(base, 'outside'))], REFUSED));

  it('CVE-2021-37713, GHSA-5955-9wpr-37jh: drive-relative names are names like any other, or have ..', async () => {
    await expectContained(() => [file(inRoot('C:some\\path')), file(inRoot('C:'))]);
    await expectRefused(() => [file('C:../outside/secret')], REFUSED);
    await expectRefused(() => [file(inRoot('C:/../../../outside/secret'))], REFUSED);
  });

  it('CVE-2024-28863, GHSA-f5x3-32g6-xq36: a path of a great many directories', () =>
    expectRefused(() => [paxEntry({ path: inRoot(`${'a/'.repeat(50_000)}f`) }), file('x')], {
      code: 'ARCHIVE_LIMIT',
    }));

  it('CVE-2025-64118, GHSA-29xp-372q-xqph: listing an archive that is shorter than it says reads no other memory', async () => {
    const bytes = rawTar(file(inRoot('a'), 'x'.repeat(5000))).subarray(0, 1024);
    const listing = listBytes(bytes, { compression: 'none', chunk: 300 });
    await expect(listing).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
  });

  it('CVE-2026-23745, GHSA-8qq5-rm4j-mr97: a hard link with an absolute target', () =>
    expectRefused(({ base }) => [hardlink(inRoot('a'), join(base, 'outside/secret'))], REFUSED));

  it('CVE-2026-23745, GHSA-8qq5-rm4j-mr97: a symlink with an absolute target is left alone, and not written through', async () => {
    await expectContained(({ base }) => [symlink(inRoot('a'), join(base, 'outside/secret'))]);
    await expectRefused(
      ({ base }) => [symlink(inRoot('a'), join(base, 'outside/secret')), file(inRoot('a'))],
      REFUSED,
    );
  });

  it('CVE-2026-24842, GHSA-34x7-hfp2-rc4v: a hard link whose target is checked from one directory and made from another', async () => {
    await expectRefused(
      () => [directory(inRoot('a/b/c/d/')), hardlink(inRoot('a/b/c/d/e'), '../../../../outside/secret')],
      REFUSED,
    );
    await expectRefused(
      () => [directory(inRoot('a/')), hardlink(inRoot('a/e'), inRoot('a/../../../outside/secret'))],
      REFUSED,
    );
  });

  it('CVE-2026-26960, GHSA-83g3-92jg-28cx: a hard link through a chain of symlinks', () =>
    expectRefused(
      () => [
        directory(inRoot('a/b/')),
        symlink(inRoot('a/b/up'), '../..'),
        symlink(inRoot('escape'), 'a/b/up/../..'),
        hardlink(inRoot('stolen'), inRoot('escape/outside/secret')),
      ],
      REFUSED,
    ));

  it('CVE-2026-29786, GHSA-qffp-2rhf-9h96: a hard link with a drive-relative target', () =>
    expectRefused(() => [hardlink(inRoot('a'), 'C:../../outside/secret')], REFUSED));

  it('CVE-2026-31802, GHSA-9ppj-qmqm-q256: a symlink with a drive-relative target', async () => {
    await expectContained(() => [symlink(inRoot('a'), 'C:../../outside')]);
    await expectRefused(() => [symlink(inRoot('a'), 'C:../../outside'), file(inRoot('a/secret'))], REFUSED);
  });

  it("CVE-2026-53655, GHSA-vmf3-w455-68vh: a pax size in front of a long name is the file's, not the name's", async () => {
    const hidden = rawEntry(file(inRoot('smuggled')));
    await expectContained(
      () => [
        paxEntry({ size: String(hidden.length) }),
        gnuLong('L', inRoot('a')),
        { ...file('short', hidden.toString('latin1')), size: 0 },
      ],
      (dir) => {
        expect(Object.keys(snapshotTree(dir))).toEqual(['a']);
        expect(readFileSync(join(dir, 'a'))).toEqual(hidden);
      },
    );
  });

  it('CVE-2026-59871, GHSA-w8wr-v893-vjvp: names that are all digits', async () => {
    await expectRefused(() => [paxEntry({ path: '12345' }), file('a')], REFUSED);
    for (const type of ['0', '1', '2', '5'])
      await expectRefused(
        () => [paxEntry({ path: '12345', linkpath: '67890' }), { type, path: 'a' }],
        REFUSED,
      );
    await expectContained(
      () => [paxEntry({ path: inRoot('1'), linkpath: '2' }), symlink('a', 'b')],
      (dir) => expect(snapshotTree(dir)).toMatchObject({ 1: { target: '2' } }),
    );
  });

  it('CVE-2026-59873, GHSA-23hp-3jrh-7fpw: a small archive that unpacks without end', async () => {
    const { dir } = makeTarget();
    const bomb = gzipSync(rawTar(file(inRoot('a'), '\0'.repeat(120e6))), { level: 9 });
    await expect(unpackBytes(bomb, { compression: 'gzip', dir })).rejects.toMatchObject({
      code: 'ARCHIVE_LIMIT',
    });
  });

  it('CVE-2026-59874, GHSA-8x88-c5mf-7j5w: a negative size in base 256', async () => {
    for (const size of ['ff'.repeat(12), 'ff'.repeat(10) + 'fe00', '80' + '00'.repeat(3) + 'ff'.repeat(8)])
      await expectRefused(() => [{ path: inRoot('a'), size: Buffer.from(size, 'hex') }], {
        code: 'ARCHIVE_CORRUPT',
      });
  });

  it('CVE-2026-59875, GHSA-gvwx-54wh-qm9j: NUL in pax names', async () => {
    await expectRefused(() => [paxEntry({ path: inRoot('a\0b') }), file('a')], REFUSED);
    await expectRefused(() => [paxEntry({ path: inRoot('a\0/b/') }), directory('a')], REFUSED);
    await expectRefused(() => [paxEntry({ linkpath: 'a\0b' }), symlink(inRoot('a'), 'b')], REFUSED);
    await expectRefused(
      () => [file(inRoot('b')), paxEntry({ linkpath: inRoot('b\0') }), hardlink(inRoot('a'), 'b')],
      REFUSED,
    );
  });

  it('CVE-2026-73566, GHSA-r292-9mhp-454m: a path so long that looking at its parents overflows the stack', () =>
    expectRefused(() => [paxEntry({ path: inRoot(`${'a/'.repeat(200_000)}f`) }), file('x')], {
      code: 'ARCHIVE_LIMIT',
      options: { limits: { ...LIMITS, maxPathBytes: 1e6 } },
    }));
});

describe('tar-fs', () => {
  it('CVE-2018-20835, GHSA-x2mc-8fgj-3wmr: a hard link to what is outside, and a file over it', () =>
    expectRefused(() => [hardlink(inRoot('a'), '../../../outside/secret'), file(inRoot('a'))], REFUSED));

  it('CVE-2024-12905, GHSA-pq67-2wwv-3xjx: a symlink to a symlink that leads outside, a file through both', () =>
    expectRefused(
      () => [symlink(inRoot('a'), '.'), symlink(inRoot('a/b'), '../..'), file(inRoot('a/b/outside/new'))],
      REFUSED,
    ));

  it('CVE-2025-48387, GHSA-8cj5-5rvv-wf4v: a hard link to a symlink, then a file over it', () =>
    expectRefused(
      ({ base }) => [
        symlink(inRoot('a'), join(base, 'outside/secret')),
        hardlink(inRoot('b'), inRoot('a')),
        file(inRoot('b')),
      ],
      REFUSED,
    ));

  it('CVE-2025-59343, GHSA-vj76-c3g6-qr5v: a symlink to a place whose name begins as the target does', async () => {
    const target = makeTarget();
    const beside = `${target.dir}-beside`;
    mkdirSync(beside);
    symlinkSync(join(target.base, 'outside'), join(beside, 'link'));
    const parts = [symlink(inRoot('a'), beside), file(inRoot('a/new'))];
    await expect(
      unpackBytes(rawTar(...parts), { compression: 'none', dir: target.dir }),
    ).rejects.toMatchObject(REFUSED);
    expect(Object.keys(snapshotTree(beside))).toEqual(['link']);
    expect(ROOT).toBe('node_modules');
  });
});
