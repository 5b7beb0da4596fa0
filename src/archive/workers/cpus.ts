/**
 * How many CPUs this process may really use. A container that is limited to 2 of 64 CPUs sees all 64. With
 * more threads than its quota allows, the kernel only stops all of them for the rest of each period.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * The most workers that are started if no number is set. Each takes about 10 MB, and the one thread that
 * feeds them is the limit long before this number.
 */
const MOST = 32;

/**
 * At most `MOST`, and the smaller of the CPUs this process may be scheduled on and the quota of its cgroup
 * (v1 or v2) and of all above it, rounded to the nearest whole number, at least 1.
 * @param root where /proc and /sys are, for tests
 */
export function availableCpus(root = '', cpus = availableParallelism()): number {
  const quota = Math.min(Infinity, ...quotas(root));
  return Math.max(1, Math.min(cpus, Math.round(quota), MOST));
}

/** The CPU limits of this process's cgroups and their parents. */
function quotas(root: string): number[] {
  const memberships = read(`${root}/proc/self/cgroup`);
  return memberships.split('\n').flatMap((line) => {
    // `0::/kubepods/pod1` (v2) or `4:cpu,cpuacct:/docker/abc` (v1)
    const [, hierarchy, controllers = '', path = ''] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (hierarchy === '0' && controllers === '') return quotasAlong(`${root}/sys/fs/cgroup`, path, quotaV2);
    if (controllers.split(',').includes('cpu'))
      return ['cpu,cpuacct', 'cpu'].flatMap((mount) =>
        quotasAlong(`${root}/sys/fs/cgroup/${mount}`, path, quotaV1),
      );
    return [];
  });
}

/**
 * Any parent group may have a limit. In a container the path may be that of the host; then only the mount
 * itself exists.
 */
function quotasAlong(mount: string, path: string, quotaOf: (dir: string) => number | undefined): number[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return parts
    .map((_, n) => parts.slice(0, n + 1).join('/'))
    .concat('')
    .map((below) => quotaOf(`${mount}/${below}`))
    .filter((quota) => quota !== undefined);
}

/** `200000 100000` or `max 100000` */
function quotaV2(dir: string): number | undefined {
  const [quota, period] = read(`${dir}/cpu.max`).trim().split(' ');
  return ratio(Number(quota), Number(period));
}

/** `-1` means no limit. */
function quotaV1(dir: string): number | undefined {
  return ratio(Number(read(`${dir}/cpu.cfs_quota_us`)), Number(read(`${dir}/cpu.cfs_period_us`)));
}

function ratio(quota: number, period: number): number | undefined {
  return quota > 0 && period > 0 ? quota / period : undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
