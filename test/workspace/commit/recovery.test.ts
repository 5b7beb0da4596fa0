/** Recovery reads a journal that lies in somebody's project: it may have died half-way, or come with a checkout. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLeases } from '../../../src/workspace/lease/lease-file.ts';
import { clearLeftovers, openStaging } from '../../../src/workspace/staging.ts';
import type { StagingOptions } from '../../../src/workspace/types.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../support/temporary.ts';
import { whyNoMounts } from '../kinds.ts';
import { debris, makeVersion, restoreVersion, stageVersion, versionOf, type Restore } from '../versions.ts';

const TARGET = 'node_modules';
const noMounts = whyNoMounts();

let folder: TemporaryFolder;
let project: string;
beforeEach(async () => {
  folder = await makeTemporaryFolder('recovery');
  project = join(folder.path, 'project');
  mkdirSync(project);
});
afterEach(() => folder.remove());

const options = (targets: readonly string[] = [TARGET], projectDir = project): StagingOptions => ({
  projectDir,
  targets,
  signal: new AbortController().signal,
});

const restoreOf = (version: string, targets: readonly string[] = [TARGET]): Restore => ({
  project,
  targets,
  present: targets,
  version,
});

/** A run that seems to have died in the middle of its commit. Its trees may lie in `new-0` and `old-0`. */
function plantRun(moves: object[], phase: 'swap' | 'forward' = 'swap'): string {
  const run = join(project, '.sandbox-cache-node_modules/run-1-0123456789abcdef');
  mkdirSync(run, { recursive: true });
  const trees = [{ target: TARGET, bay: 'home', slot: 0, moves }];
  writeFileSync(join(run, 'journal.json'), JSON.stringify({ version: 1, phase, trees }));
  return run;
}

const MOVE = { goes: true, comes: true, doomed: false };

describe('a planted journal', () => {
  /** With all that a journal needs to be believed: a target, both trees, and a child that has not been moved yet. */
  function plantChildren(planted: object, phase?: 'forward'): void {
    makeVersion(join(project, TARGET), 'installed');
    const run = plantRun(
      [
        { ...MOVE, ...planted },
        { name: 'child', ...MOVE },
      ],
      phase,
    );
    mkdirSync(join(run, 'old-0'));
    mkdirSync(join(run, 'new-0/child'), { recursive: true });
  }

  it('moves no path out of the project', async () => {
    const documents = join(folder.path, 'documents');
    mkdirSync(documents);
    writeFileSync(join(documents, 'letter'), 'dear');
    plantChildren({ name: '../../documents', goes: false });
    await clearLeftovers(options());
    expect(readFileSync(join(documents, 'letter'), 'utf8')).toBe('dear');
    expect(debris(folder.path)).toEqual([]);
  });

  it.each(['.', '..'])('takes %s for no child, so that what lies there is not deleted', async (name) => {
    plantChildren({ name, doomed: true }, 'forward');
    writeFileSync(join(project, 'letter'), 'dear');
    writeFileSync(join(project, TARGET, name, '.sandbox-cache-doomed'), '');
    await clearLeftovers(options());
    expect(versionOf(join(project, TARGET))).toBe('installed');
    expect(readFileSync(join(project, 'letter'), 'utf8')).toBe('dear');
    expect(debris(project)).toEqual([expect.stringMatching(/^(node_modules\/)?\.sandbox-cache-doomed$/)]);
  });

  it('moves no whole tree among children', async () => {
    makeVersion(join(project, TARGET), 'installed');
    const run = plantRun([
      { name: '', ...MOVE },
      { name: 'child', goes: true, comes: false, doomed: false },
    ]);
    mkdirSync(join(run, 'old-0'));
    await clearLeftovers(options());
    expect(versionOf(join(project, TARGET))).toBe('installed');
    expect(debris(folder.path)).toEqual([]);
  });

  it.each(['a fifo', 'a directory'])('that is %s is none', async (what) => {
    const journal = join(plantRun([]), 'journal.json');
    rmSync(journal);
    if (what === 'a fifo') execFileSync('mkfifo', [journal]);
    else mkdirSync(journal);
    await restoreVersion(restoreOf('new'));
    expect(versionOf(join(project, TARGET))).toBe('new');
    expect(debris(folder.path)).toEqual([]);
  });
});

describe('a commit that had to delete the old tree', () => {
  it('deletes nothing that it has not marked: somebody has installed since', async () => {
    const run = plantRun([{ name: '', ...MOVE, doomed: true }], 'forward');
    makeVersion(join(run, 'new-0'), 'new');
    makeVersion(join(project, TARGET), 'installed');
    await clearLeftovers(options());
    expect(versionOf(join(project, TARGET))).toBe('installed');
    expect(debris(folder.path)).toEqual([]);
  });

  it('is finished where the mark is', async () => {
    const run = plantRun([{ name: '', ...MOVE, doomed: true }], 'forward');
    makeVersion(join(run, 'new-0'), 'new');
    makeVersion(join(project, TARGET), 'old');
    writeFileSync(join(project, TARGET, '.sandbox-cache-doomed'), '');
    await clearLeftovers(options());
    expect(versionOf(join(project, TARGET))).toBe('new');
    expect(debris(folder.path)).toEqual([]);
  });
});

it('a bay that is the home of a live run is left alone', async () => {
  const inner = 'packages/a/node_modules';
  const outer = options([TARGET, inner]);
  mkdirSync(join(project, 'packages/a'), { recursive: true });
  const live = await openStaging(options([TARGET], join(project, 'packages/a')));
  const home = dirname(dirname(live.roots[0]?.dir ?? ''));
  stageVersion(live, { ...restoreOf('live'), targets: [TARGET], present: [TARGET] });

  await (await openStaging(outer)).close();
  expect(readLeases(home)).toHaveLength(1);
  await live.commit([TARGET]);
  await live.close();
  expect(versionOf(join(project, inner))).toBe('live');
  expect(debris(folder.path)).toEqual([]);
});

describe.skipIf(noMounts !== undefined)(`an undo that fails${noMounts ? ` (${noMounts})` : ''}`, () => {
  const targets = ['a/node_modules', 'b/node_modules', 'c/node_modules'];
  /** What the undo cannot remove: a directory in place of the mark. */
  const obstacle = (): string => join(project, 'c/node_modules/.sandbox-cache-doomed');

  it('keeps what the next run needs, which fails as well while it can do no better, and then puts all back', async () => {
    for (const target of targets) makeVersion(join(project, target), 'old');
    mkdirSync(obstacle());
    const staging = await openStaging(options(targets));
    stageVersion(staging, restoreOf('new', targets));
    // No rename leads into a mount: the swap stops at the second target.
    execFileSync('mount', ['-t', 'tmpfs', 'none', join(project, 'b')]);
    try {
      await expect(staging.commit(targets)).rejects.toMatchObject({ code: 'TARGET_UNWRITABLE' });
      await staging.close();
    } finally {
      execFileSync('umount', ['-l', join(project, 'b')]);
    }
    expect(versionOf(join(project, 'a/node_modules'))).toBe('new');

    await expect(clearLeftovers(options(targets))).rejects.toMatchObject({ code: 'TARGET_UNWRITABLE' });
    await expect(openStaging(options(targets))).rejects.toMatchObject({ code: 'TARGET_UNWRITABLE' });
    expect(existsSync(join(project, '.sandbox-cache-a-node_modules'))).toBe(true);
    rmSync(obstacle(), { recursive: true });
    await clearLeftovers(options(targets));
    expect(targets.map((target) => versionOf(join(project, target)))).toEqual(['old', 'old', 'old']);
    expect(debris(folder.path)).toEqual([]);
  });
});

it.each(['of one file system', ...(noMounts === undefined ? ['of two file systems'] : [])])(
  'a run under way on targets %s is private: nobody else may read what it stages',
  async (where) => {
    const other = join(project, 'packages/b');
    mkdirSync(other, { recursive: true });
    const isMounted = where.includes('two');
    if (isMounted) execFileSync('mount', ['-t', 'tmpfs', 'none', other]);
    try {
      const staging = await openStaging(options([TARGET, 'packages/b/node_modules']));
      const bays = new Set(staging.roots.map(({ dir }) => dirname(dirname(dir))));
      expect(bays.size).toBe(isMounted ? 2 : 1);
      for (const path of [...bays, ...staging.roots.map(({ dir }) => dirname(dir))])
        expect(statSync(path).mode & 0o777).toBe(0o700);
      await staging.close();
    } finally {
      if (isMounted) execFileSync('umount', ['-l', other]);
    }
  },
);
