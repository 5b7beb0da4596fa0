import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Which directories may be renamed into one another: those on the same file system and under the same mount.
 */
export interface Mounts {
  /**
   * Whether something is mounted on this existing directory, or it is a file system of its own, such as a
   * btrfs subvolume.
   */
  isMountPoint(path: string): boolean;
  /** Mount points inside the directory, at any depth. */
  below(path: string): string[];
  /**
   * Whether two existing directories are on the same file system and mount. Bind mounts of one file system
   * share a device number and still refuse a rename between them.
   */
  together(one: string, other: string): boolean;
}

/** The mounts that this process sees, as of now. */
export function readMounts(): Mounts {
  const points = mountPoints();
  const device = (path: string): number => statSync(path).dev;
  const mountOf = (path: string): string => {
    let best = '/';
    for (const point of points) if (point.length > best.length && contains(point, path)) best = point;
    return best;
  };
  return {
    isMountPoint: (path) => points.has(path) || device(path) !== device(dirname(path)),
    below: (path) => [...points].filter((point) => point !== path && contains(path, point)),
    together: (one, other) => mountOf(one) === mountOf(other) && device(one) === device(other),
  };
}

/** Whether `path` is the directory or lies in it. */
export function contains(dir: string, path: string): boolean {
  return path === dir || path.startsWith(dir === '/' ? '/' : `${dir}/`);
}

/**
 * The fifth field of `/proc/self/mountinfo` (proc_pid_mountinfo(5)), where a blank is written `\040`. Empty
 * on systems without that file; there only device numbers can tell.
 */
function mountPoints(): Set<string> {
  let table = '';
  try {
    table = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    // Not Linux.
  }
  const fields = table.split('\n').map((line) => line.split(' ')[4]);
  return new Set(fields.filter((field) => field !== undefined).map(unescape));
}

function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
