/**
 * How many CPUs this process may really use. A container limited to 2 CPUs on a machine of 64 sees 64 of
 * them; threads beyond its quota only make the kernel stop all of them for the rest of each period.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Workers that are started at most where nobody gives a number. Each takes some 10 MB, and long before this
 * many the one thread that feeds them is the limit.
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

/** CPUs that the limits along this process's cgroups allow. */
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
 * A limit may be set on any group above. In a container the path may be the host's: then only the mount
 * itself is there.
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

/** `-1` is none. */
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
