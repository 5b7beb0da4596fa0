/** What containers do to a program: a root that is read-only, a target that is a mount or an overlay, limits of a cgroup. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isRoot } from '../support/user.ts';
import { DEPS, expectExit, makeProject, treeOf, useSandbox } from './support.ts';

const sandbox = useSandbox();
const deps = DEPS.join(' ');

const mayMount =
  isRoot() &&
  spawnSync('unshare', ['-m', 'bash', '-ec', 'mount --make-rprivate /; mount -t tmpfs none /mnt']).status ===
    0;

describe.runIf(mayMount)('in mounts of its own', () => {
  /** Runs as in a container whose root and project are read-only, but for a new /tmp and for `deps`. */
  const inContainer = async (target: string, script: string): Promise<string> => {
    const tmp = join(sandbox.folder, 'tmp');
    mkdirSync(tmp);
    writeFileSync(
      join(sandbox.folder, 'inside'),
      `mount --make-rprivate /
       mount --bind '${sandbox.project}' '${sandbox.project}'
       mount -t tmpfs none '${tmp}'
       cd '${sandbox.project}'
       ${target}
       mount -o remount,bind,ro '${sandbox.project}'
       mount -o remount,bind,ro /
       cd '${sandbox.project}'
       if touch x 2>/dev/null || touch /usr/x 2>/dev/null; then exit 99; fi
       export TMPDIR='${tmp}' HOME=/nonexistent
       ${script}`,
    );
    const command = `unshare -m bash -e '${join(sandbox.folder, 'inside')}'`;
    return expectExit(await sandbox.script(command), 0).stdout;
  };
  const OVERLAY = `mkdir '$TMP/upper' '$TMP/work' '$TMP/lower' && cp -a deps/. '$TMP/lower'
    mount -t overlay none -o 'lowerdir=$TMP/lower,upperdir=$TMP/upper,workdir=$TMP/work' deps`;

  it.each([
    ['a volume', () => 'mount --bind deps deps'],
    ['an overlay', () => OVERLAY.replaceAll('$TMP', join(sandbox.folder, 'tmp'))],
  ])('restores and saves where only the target and /tmp may be written: %s', async (_, target) => {
    makeProject(sandbox.project);
    const before = treeOf(join(sandbox.project, 'deps'));
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const copy = join(sandbox.folder, 'copy');
    mkdirSync(copy);
    const out = await inContainer(
      target(),
      `echo stale > deps/stale; rm -r deps/*
       sandbox-cache restore ${deps}
       sandbox-cache save ${deps}
       sandbox-cache save --force ${deps}
       tar -C deps -H pax -cf - . | base64 -w0`,
    );
    expect(out).toMatch(/restored[^]*\n.*already cached[^]*\n.*saved/);
    const archive = join(sandbox.folder, 'copy.tar');
    writeFileSync(archive, Buffer.from(out.trimEnd().split('\n').at(-1)!, 'base64'));
    spawnSync('tar', ['-C', copy, '-xf', archive]);
    expect(treeOf(copy)).toEqual(before);
  });
});

describe.runIf(isRoot())('in a cgroup', () => {
  const made: string[] = [];
  afterEach(() => made.splice(0).forEach((dir) => rmdirSync(dir)));

  /** @returns undefined where cgroups cannot be made: no version 1 is mounted, or it is read-only */
  const group = (controller: string, values: Record<string, string>): string | undefined => {
    const dir = `/sys/fs/cgroup/${controller}/sandbox-cache-test-${process.pid}`;
    try {
      mkdirSync(dir);
      made.push(dir);
      for (const [name, value] of Object.entries(values)) writeFileSync(join(dir, name), value);
      return dir;
    } catch {
      return undefined;
    }
  };

  it('saves, restores and tells the limits with 512 MiB and one CPU', async (context) => {
    const memory = group('memory', { 'memory.limit_in_bytes': `${512 * 2 ** 20}` });
    const cpu = group('cpu', { 'cpu.cfs_period_us': '100000', 'cpu.cfs_quota_us': '100000' });
    if (memory === undefined || cpu === undefined) return context.skip('cgroups cannot be made here');
    makeProject(sandbox.project);
    const before = treeOf(join(sandbox.project, 'deps'));
    const { stdout } = expectExit(
      await sandbox.script(`set -e
        for GROUP in '${memory}' '${cpu}'; do echo $$ > $GROUP/cgroup.procs; done
        sandbox-cache save ${deps}; rm -r deps; sandbox-cache restore ${deps}
        sandbox-cache doctor --json
        for GROUP in /sys/fs/cgroup/memory /sys/fs/cgroup/cpu; do echo $$ > $GROUP/cgroup.procs; done`),
      0,
    );
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    expect(stdout).toContain('537 MB of memory');
    expect(stdout).toContain('1 CPU');
  });
});
