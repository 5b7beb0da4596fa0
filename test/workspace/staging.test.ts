import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CacheError } from '../../src/errors.ts';
import { readReceipt, RECEIPT } from '../../src/workspace/notes/receipt.ts';
import { clearLeftovers, openStaging } from '../../src/workspace/staging.ts';
import type { StagingOptions } from '../../src/workspace/types.ts';
import { KINDS, makeScene, whyNoMounts } from './kinds.ts';
import {
  confirmVersion,
  debris,
  makeVersion,
  restoreVersion,
  stageVersion,
  TREE_TIME_US,
  versionOf,
} from './versions.ts';

const noMounts = whyNoMounts();

let base: string;
let project: string;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-staging-')));
  project = join(base, 'project');
  mkdirSync(project);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function options(targets: readonly string[], more: Partial<StagingOptions> = {}): StagingOptions {
  return { projectDir: project, targets, signal: new AbortController().signal, ...more };
}

function restoreOf(targets: readonly string[], version = 'new'): Parameters<typeof restoreVersion>[0] {
  return { project, targets, present: targets, version };
}

async function failure(work: Promise<unknown>): Promise<CacheError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CacheError);
  return error as CacheError;
}

describe('a restore', () => {
  for (const kind of KINDS) {
    const skipped = kind.mounts && noMounts !== undefined;
    it.skipIf(skipped)(
      `puts the tree in place of ${kind.name}${skipped ? ` (${noMounts})` : ''}`,
      async () => {
        const scene = makeScene(kind);
        try {
          const { restore } = scene;
          expect(await restoreVersion(restore)).toBe('restored');
          for (const target of restore.targets) {
            const dir = join(restore.project, target);
            expect(versionOf(dir)).toBe(restore.present.includes(target) ? 'new' : 'absent');
            if (!restore.present.includes(target)) continue;
            expect(statSync(dir, { bigint: true }).mtimeNs / 1000n).toBe(TREE_TIME_US);
          }
          expect(debris(scene.base)).toEqual([]);
          expect(await restoreVersion(restore)).toBe('in place');
          expect(await restoreVersion({ ...restore, version: 'newer' })).toBe('restored');
          expect(versionOf(join(restore.project, restore.targets[0] ?? ''))).toBe('newer');
          if (kind.name.includes('mount point in it')) {
            expect(readdirSync(join(restore.project, 'node_modules/.cache'))).toEqual(['kept']);
          }
        } finally {
          scene.remove();
        }
      },
    );

    it.skipIf(skipped)(`leaves ${kind.name} alone when it is given up before the commit`, async () => {
      const scene = makeScene(kind);
      try {
        const { restore } = scene;
        const look = (): unknown[] =>
          restore.targets.map((target) => {
            const dir = join(restore.project, target);
            return [versionOf(dir), statSync(dir, { throwIfNoEntry: false })?.mtimeMs];
          });
        const paths = (): unknown => readdirSync(scene.base, { recursive: true });
        const before = [look(), paths()];
        const more = { projectDir: restore.project, mayBeFiles: true };
        const staging = await openStaging(options(restore.targets, more));
        stageVersion(staging, restore);
        await staging.close();
        await staging.close();
        expect([look(), paths()]).toEqual(before);
        expect(debris(scene.base)).toEqual([]);
      } finally {
        scene.remove();
      }
    });
  }

  it('stages where nothing exists yet, below parents that do', async () => {
    const staging = await openStaging(options(['vendor/bundle', 'a/b/node_modules']));
    expect(staging.waited).toBe(false);
    for (const { dir } of staging.roots) {
      expect(existsSync(dir)).toBe(false);
      expect(statSync(join(dir, '..')).mode & 0o7777).toBe(0o700);
    }
    await staging.close();
    expect(readdirSync(project)).toEqual([]);
  });

  it('keeps the tree that was there until the new one is whole', async () => {
    makeVersion(join(project, 'node_modules'), 'old');
    const restore = restoreOf(['node_modules']);
    const staging = await openStaging(options(restore.targets));
    stageVersion(staging, restore);
    expect(versionOf(join(project, 'node_modules'))).toBe('old');
    await staging.commit(['node_modules']);
    expect(versionOf(join(project, 'node_modules'))).toBe('new');
    await staging.close();
    expect(debris(base)).toEqual([]);
  });

  it.skipIf(noImmutables())(
    'goes on over files that cannot be removed, for root too, and warns',
    async () => {
      const target = join(project, 'node_modules');
      makeVersion(target, 'old');
      execFileSync('chattr', ['+i', join(target, 'VERSION')]);
      try {
        const warnings: string[] = [];
        const onWarning = (message: string): number => warnings.push(message);
        for (const version of ['new', 'newer']) {
          await restoreVersion(restoreOf(['node_modules'], version), { onWarning });
          expect(versionOf(target)).toBe(version);
        }
        expect(warnings).toHaveLength(2);
        for (const warning of warnings) expect(warning).toMatch(/not permitted \(\S+\/old-0\/VERSION\)$/);
      } finally {
        execFileSync('find', [project, '-name', 'VERSION', '-exec', 'chattr', '-i', '{}', '+']);
      }
    },
  );

  it('takes what the entry no longer has away, the main target too', async () => {
    makeVersion(join(project, 'node_modules'), 'old');
    const staging = await openStaging(options(['node_modules']));
    await staging.commit([]);
    await staging.close();
    expect(readdirSync(project)).toEqual([]);
  });

  it('drops receipts and markers that an archive brings along', async () => {
    const staging = await openStaging(options(['node_modules']));
    const [root] = staging.roots;
    const dir = root?.dir ?? '';
    makeVersion(dir, 'new');
    const forged = {
      key: 'k',
      targets: ['node_modules'],
      witness: '',
      installSeconds: 0,
      bytes: 0,
      files: 0,
    };
    writeFileSync(join(dir, RECEIPT), JSON.stringify(forged));
    writeFileSync(join(dir, '.installed'), 'abc');
    mkdirSync(join(dir, '.sandbox-cache-staging/deep'), { recursive: true });
    await staging.commit(['node_modules']);
    await staging.close();
    expect(readReceipt(project, 'node_modules')).toBeUndefined();
    expect(readdirSync(join(project, 'node_modules')).filter((name) => /cache|installed/.test(name))).toEqual(
      [],
    );
  });

  it('restores directories that their owner may not write to', async () => {
    for (const version of ['new', 'newer']) {
      const staging = await openStaging(options(['mod']));
      const [root] = staging.roots;
      mkdirSync(root?.dir ?? '', { mode: 0o755 });
      writeFileSync(join(root?.dir ?? '', 'VERSION'), version);
      mkdirSync(join(root?.dir ?? '', 'locked/in'), { recursive: true });
      chmodSync(join(root?.dir ?? '', 'locked/in'), 0o555);
      chmodSync(join(root?.dir ?? '', 'locked'), 0o555);
      await staging.commit(['mod']);
      await staging.close();
      expect(readFileSync(join(project, 'mod/VERSION'), 'utf8')).toBe(version);
    }
    expect(debris(base)).toEqual([]);
    for (const path of ['mod/locked', 'mod/locked/in']) chmodSync(join(project, path), 0o755);
  });

  it('cannot be committed once interrupted', async () => {
    const controller = new AbortController();
    makeVersion(join(project, 'node_modules'), 'old');
    const restore = restoreOf(['node_modules']);
    const staging = await openStaging(options(restore.targets, { signal: controller.signal }));
    stageVersion(staging, restore);
    controller.abort(new CacheError('INTERRUPTED', 'stopped'));
    expect((await failure(staging.commit(restore.present))).code).toBe('INTERRUPTED');
    await staging.close();
    expect(versionOf(join(project, 'node_modules'))).toBe('old');
    expect(debris(base)).toEqual([]);
  });
});

describe.skipIf(noMounts !== undefined)(`a failure half-way${noMounts ? ` (${noMounts})` : ''}`, () => {
  /** Somebody mounts something there at the wrong moment: no rename leads into it. */
  async function failAt(point: string, work: () => Promise<void>): Promise<void> {
    execFileSync('mount', ['-t', 'tmpfs', 'none', point]);
    try {
      await work();
    } finally {
      execFileSync('umount', ['-l', point]);
    }
  }

  it('puts every target back', async () => {
    const targets = [
      'node_modules',
      'packages/a/node_modules',
      'packages/b/node_modules',
      'packages/c/node_modules',
    ];
    const there = [0, 1, 3].map((index) => targets[index] ?? '');
    for (const target of there) makeVersion(join(project, target), 'old');
    mkdirSync(join(project, 'packages/b'));
    const staging = await openStaging(options(targets));
    stageVersion(staging, restoreOf(targets.slice(0, 3)));
    await failAt(join(project, 'packages/b'), async () => {
      const error = await failure(staging.commit(targets.slice(0, 3)));
      expect(error.code).toBe('TARGET_UNWRITABLE');
      await staging.close();
    });
    expect(targets.map((target) => versionOf(join(project, target)))).toEqual([
      'old',
      'old',
      'absent',
      'old',
    ]);
    expect(debris(base)).toEqual([]);
  });

  it('puts children and parents back', async () => {
    const restore = restoreOf(['modules', 'far/away/one', 'two/two']);
    mkdirSync(join(base, 'cache/other-name'), { recursive: true });
    symlinkSync('../cache/other-name', join(project, 'modules'));
    makeVersion(join(base, 'cache/other-name'), 'old');
    confirmVersion({ ...restore, present: ['modules'], version: 'old' });
    mkdirSync(join(project, 'two'));
    const staging = await openStaging(options(restore.targets));
    stageVersion(staging, restore);
    await failAt(join(project, 'two'), async () => {
      await failure(staging.commit(restore.present));
      await staging.close();
    });
    expect(readdirSync(project).sort()).toEqual(['modules', 'two']);
    expect(versionOf(join(project, 'modules'))).toBe('old');
    expect(statSync(join(project, 'modules'), { bigint: true }).mtimeNs / 1000n).toBe(TREE_TIME_US);
    expect(debris(base)).toEqual([]);
  });
});

describe('refused, with everything left as it is', () => {
  async function refusal(targets: readonly string[]): Promise<CacheError> {
    const before = readdirSync(base, { recursive: true });
    const error = await failure(openStaging(options(targets)));
    expect(readdirSync(base, { recursive: true })).toEqual(before);
    return error;
  }

  it('a target that is a file', async () => {
    writeFileSync(join(project, 'node_modules'), 'a file');
    const error = await refusal(['node_modules']);
    expect(error.code).toBe('TARGET_REFUSED');
    expect(error.message).toContain(join(project, 'node_modules'));
  });

  it('a parent that is a file', async () => {
    writeFileSync(join(project, 'vendor'), 'a file');
    expect((await refusal(['vendor/bundle'])).code).toBe('TARGET_REFUSED');
  });

  it.each(['', '.', '..', '../other', '/etc', 'a/../../b', 'a//b', 'a/.'])(
    'the target "%s"',
    async (target) => {
      expect((await refusal([target])).code).toBe('TARGET_REFUSED');
    },
  );

  it('targets that contain one another, and a main one that is a link into another', async () => {
    expect((await refusal(['a', 'a/b'])).code).toBe('TARGET_REFUSED');
    mkdirSync(join(project, 'one'));
    symlinkSync('one', join(project, 'two'));
    mkdirSync(join(project, 'node_modules'));
    symlinkSync('../node_modules', join(project, 'one/node_modules'));
    expect((await refusal(['one/node_modules', 'node_modules'])).code).toBe('TARGET_REFUSED');
  });

  it('a link into another target, where the entry has a directory of its own for it', async () => {
    mkdirSync(join(project, 'app'));
    symlinkSync('../node_modules', join(project, 'app/node_modules'));
    const targets = ['node_modules', 'app/node_modules'];
    const restore = { project, targets, present: targets, version: 'new' };
    await expect(restoreVersion(restore)).rejects.toMatchObject({ code: 'TARGET_REFUSED' });
    await restoreVersion({ ...restore, present: ['node_modules'] });
    expect(versionOf(join(project, 'node_modules'))).toBe('new');
    expect(readlinkSync(join(project, 'app/node_modules'))).toBe('../node_modules');
  });

  it('a file that may be none, and a link to one', async () => {
    writeFileSync(join(project, 'node_modules'), '');
    expect((await refusal(['node_modules'])).code).toBe('TARGET_REFUSED');
    symlinkSync('node_modules', join(project, '.pnp.cjs'));
    const restore = { project, targets: ['.pnp.cjs'], present: ['.pnp.cjs'], version: 'new' };
    await expect(restoreVersion(restore)).rejects.toMatchObject({ code: 'TARGET_REFUSED' });
    expect(readlinkSync(join(project, '.pnp.cjs'))).toBe('node_modules');
  });

  it('a symlink to a directory that is plainly something else', async () => {
    mkdirSync(join(base, 'documents'));
    writeFileSync(join(base, 'documents/letter'), 'dear');
    symlinkSync(join(base, 'documents'), join(project, 'node_modules'));
    const error = await refusal(['node_modules']);
    expect(error.code).toBe('TARGET_REFUSED');
    expect(error.message).toContain(join(base, 'documents'));
  });

  it('a symlink to a directory that the project is in', async () => {
    const inner = join(project, 'node_modules/inner');
    mkdirSync(inner, { recursive: true });
    symlinkSync('..', join(inner, 'node_modules'));
    const error = await failure(openStaging({ ...options(['node_modules']), projectDir: inner }));
    expect(error.code).toBe('TARGET_REFUSED');
  });

  it.each(['nowhere/deep', 'loop'])('a symlink to %s', async (to) => {
    symlinkSync(to, join(project, 'loop'));
    expect((await refusal(['loop'])).code).toMatch(/TARGET_/);
  });

  it('a second target whose staging area is in the way of ours', async () => {
    mkdirSync(join(base, 'cache/other-name'), { recursive: true });
    writeFileSync(join(base, 'cache/other-name/.sandbox-cache-staging'), 'a file');
    symlinkSync('../cache/other-name', join(project, 'modules'));
    expect((await refusal(['far/away/node_modules', 'modules'])).code).toMatch(/^TARGET_/);
  });

  it.skipIf(noMounts !== undefined)(
    `a directory with a mount deep inside: what is mounted would be deleted${noMounts ? ` (${noMounts})` : ''}`,
    async () => {
      const deep = join(project, 'node_modules/pkg/data');
      mkdirSync(deep, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', 'none', deep]);
      try {
        writeFileSync(join(deep, 'letter'), 'dear');
        const error = await refusal(['node_modules']);
        expect(error.code).toBe('TARGET_REFUSED');
        expect(error.message).toContain(deep);
        expect(readFileSync(join(deep, 'letter'), 'utf8')).toBe('dear');
      } finally {
        execFileSync('umount', ['-l', deep]);
      }
    },
  );

  it('a home that is not a directory', async () => {
    mkdirSync(join(base, 'elsewhere'));
    symlinkSync('../elsewhere', join(project, '.sandbox-cache-node_modules'));
    expect((await refusal(['node_modules'])).code).toBe('TARGET_REFUSED');
  });
});

describe('a symlink', () => {
  it('to a directory still to be made keeps its place', async () => {
    mkdirSync(join(base, 'cache'));
    symlinkSync('../cache/node_modules', join(project, 'node_modules'));
    await restoreVersion(restoreOf(['node_modules']));
    expect(readlinkSync(join(project, 'node_modules'))).toBe('../cache/node_modules');
    expect(versionOf(join(base, 'cache/node_modules'))).toBe('new');
    expect(debris(base)).toEqual([]);
  });

  it('shared by two projects is restored by one at a time', async () => {
    mkdirSync(join(base, 'cache/node_modules'), { recursive: true });
    mkdirSync(join(base, 'other'));
    for (const dir of [project, join(base, 'other')])
      symlinkSync('../cache/node_modules', join(dir, 'node_modules'));
    const staging = await openStaging(options(['node_modules']));
    const controller = new AbortController();
    const waiting = openStaging({
      ...options(['node_modules'], {
        signal: controller.signal,
        onWait: () => controller.abort(new CacheError('INTERRUPTED', 'stopped')),
      }),
      projectDir: join(base, 'other'),
    });
    expect((await failure(waiting)).code).toBe('INTERRUPTED');
    await staging.close();
  });
});

describe('what lies in the project', () => {
  const home = (): string => join(project, '.sandbox-cache-node_modules');

  /** As a repository could contain it: a run that seems to have died in the middle of its commit. */
  function plantRun(trees: unknown, phase = 'swap'): string {
    const run = join(home(), 'run-1-0123456789abcdef');
    mkdirSync(run, { recursive: true });
    writeFileSync(join(run, 'journal.json'), JSON.stringify({ version: 1, phase, trees }));
    return run;
  }

  const all = { goes: true, comes: true, doomed: true };

  it.each([
    ['another target', [{ target: '../documents', bay: 'home', slot: 0, moves: [{ name: '', ...all }] }]],
    [
      'a path for a child',
      [{ target: 'node_modules', bay: 'home', slot: 0, moves: [{ name: '../../documents', ...all }] }],
    ],
    [
      'a parent for a child',
      [{ target: 'node_modules', bay: 'home', slot: 0, moves: [{ name: '..', ...all }] }],
    ],
    [
      'a slot that is a path',
      [{ target: 'node_modules', bay: 'home', slot: '../..', moves: [{ name: '', ...all }] }],
    ],
    ['nonsense', 'nonsense'],
  ])('cannot make a restore touch anything else: %s', async (_, trees) => {
    mkdirSync(join(base, 'documents'));
    writeFileSync(join(base, 'documents/letter'), 'dear');
    for (const phase of ['swap', 'forward']) {
      plantRun(trees, phase);
      await restoreVersion(restoreOf(['node_modules'], phase));
      expect(readFileSync(join(base, 'documents/letter'), 'utf8')).toBe('dear');
      expect(versionOf(join(project, 'node_modules'))).toBe(phase);
      expect(debris(base)).toEqual([]);
    }
  });

  it('is not followed through symlinks when it is settled', async () => {
    mkdirSync(join(base, 'documents'));
    writeFileSync(join(base, 'documents/letter'), 'dear');
    mkdirSync(join(project, 'node_modules'));
    const moves = [{ name: 'letter', ...all }];
    const run = plantRun([{ target: 'node_modules', bay: 'home', slot: 0, moves }]);
    symlinkSync(join(base, 'documents'), join(run, 'old-0'));
    symlinkSync(join(base, 'documents'), join(home(), 'run-2-aa'));
    await clearLeftovers(options(['node_modules']));
    expect(readFileSync(join(base, 'documents/letter'), 'utf8')).toBe('dear');
    expect(readdirSync(join(project, 'node_modules'))).toEqual([]);
    expect(debris(base)).toEqual([]);
  });

  it('and was installed after a kill is left alone', async () => {
    const moves = [{ name: '', goes: true, comes: true, doomed: false }];
    const run = plantRun([{ target: 'node_modules', bay: 'home', slot: 0, moves }]);
    makeVersion(join(run, 'new-0'), 'new');
    makeVersion(join(run, 'old-0'), 'old');
    makeVersion(join(project, 'node_modules'), 'installed');
    await clearLeftovers(options(['node_modules']));
    expect(versionOf(join(project, 'node_modules'))).toBe('installed');
    expect(debris(base)).toEqual([]);
  });
});

describe('clearing leftovers', () => {
  it('makes nothing where there is nothing', async () => {
    await clearLeftovers(options(['node_modules', 'a/b']));
    expect(readdirSync(project)).toEqual([]);
  });

  it('does not touch a restore that is under way', async () => {
    const staging = await openStaging(options(['node_modules']));
    await clearLeftovers(options(['node_modules']));
    expect(lstatSync(join(staging.roots[0]?.dir ?? '', '..')).isDirectory()).toBe(true);
    await staging.close();
    expect(debris(base)).toEqual([]);
  });
});

/** Whether files cannot be made immutable here: that takes root and a file system that knows of it. */
function noImmutables(): boolean {
  const dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-immutable-'));
  try {
    for (const change of ['+i', '-i']) execFileSync('chattr', [change, dir], { stdio: 'ignore' });
    return false;
  } catch {
    return true;
  } finally {
    rmSync(dir, { recursive: true });
  }
}
