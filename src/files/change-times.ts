/**
 * Whether a file system shows by a file's ctime that it has changed. Those that this machine keeps itself do.
 * Those that pass another machine's on (NFS, 9p, virtiofs and the rest of FUSE) may show an old one for a while.
 */
import { statfsSync } from 'node:fs';

/** By `f_type` of statfs(2): ext4, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs, bcachefs. */
const KEPT_HERE = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e,
]);

/** @returns false where it cannot be told */
export function showsChanges(path: string): boolean {
  try {
    return process.platform === 'linux' && KEPT_HERE.has(statfsSync(path).type);
  } catch {
    return false;
  }
}
