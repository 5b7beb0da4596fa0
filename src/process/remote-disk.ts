import { readFileSync } from 'node:fs';

/**
 * Whether a directory, or something mounted in it, may be on a file system that a server or another process
 * serves. Reads the kernel's table, not the file system.
 */
export function isOnRemoteDisk(dir: string): boolean {
  let table: string;
  try {
    table = readFileSync('/proc/self/mountinfo', 'latin1');
  } catch {
    // Not Linux.
    return false;
  }
  let own = { point: '', type: '' };
  for (const line of table.split('\n')) {
    const [fields = '', source = ''] = line.split(' - ');
    const point = fields.split(' ')[4] ?? '';
    const type = source.split(' ')[0] ?? '';
    if (REMOTE.test(type) && point.startsWith(`${dir}/`)) return true;
    const holds = point === dir || dir.startsWith(point === '/' ? '/' : `${point}/`);
    // A later mount on the same point hides the earlier one.
    if (holds && point.length >= own.point.length) own = { point, type };
  }
  return REMOTE.test(own.type);
}

const REMOTE = /^(nfs|cifs|smb|9p|ceph|lustre|afs|virtiofs|fuse)/;
