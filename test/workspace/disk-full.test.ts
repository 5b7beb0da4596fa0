/** A full disk and a used-up quota, on small real file systems. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readReceipt, removeReceipts, writeReceipts } from '../../src/workspace/notes/receipt.ts';
import { openStaging } from '../../src/workspace/staging.ts';
import { isCi } from '../support/ci.ts';
import { isRoot } from '../support/user.ts';
import { whyNoMounts } from './kinds.ts';
import {
  confirmVersion,
  debris,
  makeVersion,
  restoreVersion,
  stageVersion,
  versionOf,
  type Restore,
} from './versions.ts';

interface SmallDisk {
  name: string;
  /** What the user reads. */
  words: string;
  why: string | undefined;
  /** Mounts it on an existing directory and returns a directory of it that is small. */
  mount: (point: string, image: string) => string;
}

const noMounts = whyNoMounts();

const DISKS: readonly SmallDisk[] = [
  {
    name: 'a full tmpfs (ENOSPC)',
    words: 'the disk is full',
    why: noMounts,
    mount: (point) => {
      run('mount', '-t', 'tmpfs', '-o', 'size=512k', 'none', point);
      return point;
    },
  },
  {
    name: 'a tmpfs without inodes (ENOSPC)',
    words: 'the disk is full',
    why: noMounts,
    mount: (point) => {
      run('mount', '-t', 'tmpfs', '-o', 'size=4m,nr_inodes=64', 'none', point);
      return point;
    },
  },
  {
    name: 'a used-up btrfs quota (EDQUOT)',
    words: 'the quota is used up',
    why: noMounts ?? whyNoBtrfs(),
    mount: (point, image) => {
      writeFileSync(image, '');
      truncateSync(image, 128 * 1024 * 1024);
      run('mkfs.btrfs', '-q', image);
      run('mount', '-o', 'loop', image, point);
      run('btrfs', 'quota', 'enable', point);
      run('btrfs', 'subvolume', 'create', join(point, 'small'));
      run('btrfs', 'qgroup', 'limit', '1M', join(point, 'small'));
      return join(point, 'small');
    },
  },
];

describe.each(DISKS)('$name', ({ words, why, mount }) => {
  let base: string;
  let restore: Restore;
  beforeEach(() => {
    if (why !== undefined) return;
    base = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-full-')));
    mkdirSync(join(base, 'disk'));
    const project = mount(join(base, 'disk'), join(base, 'image'));
    const targets = ['node_modules', 'a/node_modules'];
    restore = { project, targets, present: targets, version: 'new' };
    for (const target of targets) makeVersion(join(project, target), 'old');
    confirmVersion({ ...restore, version: 'old' });
  });
  afterEach(() => {
    if (why !== undefined) return;
    run('umount', '-l', join(base, 'disk'));
    rmSync(base, { recursive: true });
  });

  /** Until nothing more fits, neither bytes nor names. */
  function fill(): void {
    mkdirSync(join(restore.project, 'filler'), { recursive: true });
    for (let size = 64 * 1024; size >= 1; size = Math.floor(size / 8)) {
      try {
        for (;;) appendFileSync(join(restore.project, 'filler/bytes'), Buffer.alloc(size, 1));
      } catch {
        // Full for this size.
      }
    }
    try {
      for (let n = 0; ; n++) writeFileSync(join(restore.project, `filler/${n}`), 'x'.repeat(4096));
    } catch {
      // Full.
    }
  }

  function expectUntouched(): void {
    const { project, targets } = restore;
    expect(targets.map((target) => versionOf(join(project, target)))).toEqual(['old', 'old']);
    expect(debris(project)).toEqual([]);
  }

  async function expectNextRunToSucceed(): Promise<void> {
    rmSync(join(restore.project, 'filler'), { recursive: true });
    if (words.includes('quota')) run('btrfs', 'quota', 'rescan', '-w', join(base, 'disk'));
    expect(await restoreVersion(restore)).toBe('restored');
    expect(restore.targets.map((target) => versionOf(join(restore.project, target)))).toEqual(['new', 'new']);
    expect(debris(restore.project)).toEqual([]);
  }

  const options = (): Parameters<typeof openStaging>[0] => ({
    projectDir: restore.project,
    targets: restore.targets,
    signal: new AbortController().signal,
  });

  const full = { code: 'DISK_FULL', message: expect.stringContaining(words) as string };

  it.skipIf(why !== undefined)(`from the start: nothing has happened ${why ?? ''}`, async () => {
    fill();
    await expect(openStaging(options())).rejects.toMatchObject(full);
    expectUntouched();
    expect(readReceipt(restore.project, 'node_modules')?.key).toBe('old');
    await expectNextRunToSucceed();
  });

  it.skipIf(why !== undefined)('at the commit: the old trees are all there', async () => {
    const staging = await openStaging(options());
    stageVersion(staging, restore);
    // As every restore does; what this frees does not count.
    removeReceipts(restore.project, restore.targets, 'node_modules/.installed');
    fill();
    await expect(staging.commit(restore.present)).rejects.toMatchObject(full);
    await staging.close();
    expectUntouched();
    await expectNextRunToSucceed();
  });

  it.skipIf(why !== undefined)('at the receipt: none is half-written', async () => {
    const { project, present } = restore;
    const staging = await openStaging(options());
    stageVersion(staging, restore);
    await staging.commit(present);
    fill();
    const receipt = {
      key: 'new',
      targets: [...present],
      witness: '',
      origin: 'unchecked',
      installSeconds: 0,
      bytes: 0,
      files: 0,
    };
    const marker = { path: 'node_modules/.installed', sha256: 'abc' };
    expect(() => writeReceipts(project, receipt, marker)).toThrow(words);
    await staging.close();
    expect(readReceipt(project, 'node_modules')).toBeUndefined();
    expect(
      readdirSync(join(project, 'node_modules')).filter((name) => name.startsWith('.sandbox-cache-new')),
    ).toEqual([]);
    await expectNextRunToSucceed();
  });

  it.skipIf(why !== undefined)('does not keep staging from being removed', async () => {
    const staging = await openStaging(options());
    for (const { dir } of staging.roots) {
      mkdirSync(dir);
      writeFileSync(join(dir, 'part'), 'x');
    }
    fill();
    await staging.close();
    expectUntouched();
    expect(statSync(join(restore.project, 'filler')).isDirectory()).toBe(true);
  });
});

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function whyNoBtrfs(): string | undefined {
  try {
    run('btrfs', '--version');
    run('mkfs.btrfs', '--version');
    return undefined;
  } catch (error) {
    const reason = '(btrfs-progs is not installed)';
    if (isCi(process.env) && isRoot()) throw new Error(reason, { cause: error });
    return reason;
  }
}
