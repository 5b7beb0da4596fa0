import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { availableCpus } from '../../../src/archive/workers/cpus.ts';
import { temporaryDir } from '../unpacking.ts';

it.each([
  ['no cgroup at all', {}, 8],
  ['v2 inside a container', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '200000 100000\n' }, 2],
  ['v2 without a limit', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'max 100000\n' }, 8],
  [
    'v2, limited in a group of its own',
    {
      'proc/self/cgroup': '0::/user.slice/run-1.scope\n',
      'sys/fs/cgroup/user.slice/run-1.scope/cpu.max': '300000 100000',
    },
    3,
  ],
  [
    'v2, limited in a group above',
    {
      'proc/self/cgroup': '0::/kubepods/pod1/c1\n',
      'sys/fs/cgroup/kubepods/pod1/cpu.max': '150000 50000',
      'sys/fs/cgroup/kubepods/pod1/c1/cpu.max': 'max 100000',
      'sys/fs/cgroup/kubepods/cpu.max': '6400000 100000',
    },
    3,
  ],
  [
    'v2, with the path that the host sees',
    { 'proc/self/cgroup': '0::/../../docker/abc\n', 'sys/fs/cgroup/cpu.max': '400000 100000' },
    4,
  ],
  [
    'v1 inside a container',
    {
      'proc/self/cgroup': '11:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '200000\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    },
    2,
  ],
  [
    'v1 in a group of its own, mounted as cpu',
    {
      'proc/self/cgroup': '4:cpuacct,cpu:/jobs/1\n',
      'sys/fs/cgroup/cpu/jobs/1/cpu.cfs_quota_us': '50000',
      'sys/fs/cgroup/cpu/jobs/1/cpu.cfs_period_us': '10000',
    },
    5,
  ],
  [
    'v1 without a limit',
    {
      'proc/self/cgroup': '4:cpu:/\n',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
    },
    8,
  ],
  ['a part of one CPU', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '25000 100000' }, 1],
  ['a CPU and a half', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '150000 100000' }, 2],
  [
    'more than the machine has',
    { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '9900000 100000' },
    8,
  ],
  ['files that say nonsense', { 'proc/self/cgroup': 'x\n0::/\n', 'sys/fs/cgroup/cpu.max': 'lots' }, 8],
])('counts the CPUs of %s', (_, files, cpus) => {
  const root = temporaryDir();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  expect(availableCpus(root, 8)).toBe(cpus);
});

it('never counts more than this machine has', () => {
  expect(availableCpus()).toBeGreaterThanOrEqual(1);
  expect(availableCpus()).toBeLessThanOrEqual(availableParallelism());
});

it('starts no more workers than are of use, however many CPUs there are', () => {
  expect(availableCpus(temporaryDir(), 32)).toBe(32);
  expect(availableCpus(temporaryDir(), 192)).toBe(32);
});
