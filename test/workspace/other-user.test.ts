import { isRoot } from '../support/user.ts';
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildVictim, type Victim } from './kill-driver.ts';
import { giveTo, KINDS, KINDS_OF_NOBODY, makeScene, NOBODY, whyNoMounts, type Scene } from './kinds.ts';
import { debris, TREE_TIME_US, versionOf, type Restore } from './versions.ts';

const WARNING = /run-\S+ could not be removed: permission denied \(\S+of-root\/file\)$/;

describe.skipIf(!isRoot())('an ordinary user (takes root to become it)', () => {
  let victim: Victim;
  beforeAll(async () => {
    victim = await buildVictim();
  });
  afterAll(() => victim.remove());

  for (const kind of KINDS_OF_NOBODY) {
    it(`restores ${kind.name}`, () => {
      const scene = makeScene(kind);
      try {
        const { restore } = scene;
        expect(victim.run({ restore }, NOBODY)).toMatchObject({ result: 'restored', warnings: [] });
        for (const target of restore.targets) {
          const dir = join(restore.project, target);
          expect(versionOf(dir)).toBe('new');
          expect(statSync(dir, { bigint: true }).mtimeNs / 1000n).toBe(TREE_TIME_US);
        }
        expect(debris(scene.base)).toEqual([]);
        expect(victim.run({ restore }, NOBODY)).toMatchObject({ result: 'in place' });
      } finally {
        scene.remove();
      }
    });
  }

  function within(name: string, check: (scene: Scene, restore: Restore) => void): void {
    const kind = KINDS.find((known) => known.name === name);
    if (kind === undefined) throw new Error(`no kind of target is called ${name}`);
    const scene = makeScene(kind);
    try {
      check(scene, scene.restore);
    } finally {
      scene.remove();
    }
  }

  it('is told which directory may not be written to, before anything happens', () => {
    within('a directory', ({ base }, restore) => {
      const before = readdirSync(base, { recursive: true });
      const report = victim.run({ restore }, NOBODY);
      expect(report?.error?.code).toBe('TARGET_UNWRITABLE');
      expect(report?.error?.message).toContain(join(restore.project, 'vendor/bundle'));
      expect(readdirSync(base, { recursive: true })).toEqual(before);
    });
    within('nothing there', ({ base }, restore) => {
      const report = victim.run({ restore }, NOBODY);
      expect(report?.error?.code).toBe('TARGET_UNWRITABLE');
      expect(report?.error?.message).toContain(restore.project);
      expect(debris(base)).toEqual([]);
    });
  });

  it('leaves what belongs to another of an old tree, is warned, and restores again and again', () => {
    within('a directory', ({ base }, restore) => {
      const bundle = join(restore.project, 'vendor/bundle');
      giveTo(NOBODY, restore.project);
      mkdirSync(join(bundle, 'of-root'));
      writeFileSync(join(bundle, 'of-root/file'), '');

      for (const version of ['new', 'newer']) {
        const report = victim.run({ restore: { ...restore, version } }, NOBODY);
        expect(report).toMatchObject({ result: 'restored', warnings: [expect.stringMatching(WARNING)] });
        expect(versionOf(bundle)).toBe(version);
        // All the rest of the old tree is gone.
        const left = debris(base).filter((path) => path.includes('/old-0/'));
        expect(left).toEqual([
          expect.stringMatching(/\/of-root$/),
          expect.stringMatching(/\/of-root\/file$/),
        ]);
      }
      const report = victim.run({ restore: { ...restore, version: 'newer' } }, NOBODY);
      expect(report).toMatchObject({ result: 'in place', warnings: [expect.stringMatching(WARNING)] });
    });
  });

  it('restores over a target that is read-only, and one from an entry that has it so', () => {
    within('a directory', (_, restore) => {
      const bundle = join(restore.project, 'vendor/bundle');
      giveTo(NOBODY, restore.project);
      chmodSync(bundle, 0o555);
      for (const version of ['new', 'newer']) {
        const run = { restore: { ...restore, version, rootMode: 0o555 } };
        expect(victim.run(run, NOBODY)).toMatchObject({ result: 'restored', warnings: [] });
        expect(versionOf(bundle)).toBe(version);
        expect(statSync(bundle).mode & 0o7777).toBe(0o555);
        expect(statSync(bundle, { bigint: true }).mtimeNs / 1000n).toBe(TREE_TIME_US);
        expect(victim.run(run, NOBODY)).toMatchObject({ result: 'in place' });
      }
    });
  });

  it.skipIf(whyNoMounts() !== undefined)(
    'leaves a tree of a lower layer whole when part of it may not be deleted',
    () => {
      within('a directory of a lower overlayfs layer', ({ base }, restore) => {
        giveTo(NOBODY, join(base, 'image'));
        const locked = join(base, 'image/project/node_modules/pkg/locked');
        mkdirSync(locked);
        writeFileSync(join(locked, 'file'), 'of root');
        giveTo(NOBODY, join(base, 'layers'));
        chmodSync(join(base, 'layers'), 0o755);
        giveTo(NOBODY, join(base, 'layers/upper'));
        expect(existsSync(join(restore.project, 'node_modules/pkg/locked/file'))).toBe(true);
        const before = readdirSync(join(restore.project, 'node_modules'), { recursive: true });
        const report = victim.run({ restore }, NOBODY);
        expect(report?.error?.code).toBe('TARGET_UNWRITABLE');
        const after = readdirSync(join(restore.project, 'node_modules'), { recursive: true });
        const isOurs = (path: unknown): boolean => /\.sandbox-cache-receipt|\.installed/.test(String(path));
        expect(after).toEqual(before.filter((path) => !isOurs(path)));
        expect(debris(restore.project)).toEqual([]);
      });
    },
  );
});
