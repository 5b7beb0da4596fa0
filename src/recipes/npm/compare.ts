import type { Package } from './lockfile.ts';

/**
 * Says how the lockfile's entry and what is installed differ. A field that one of them lacks does not count.
 */
export function mismatch(wanted: Package, there: Package, lockfile: string): string | undefined {
  if ((wanted.link === true) !== (there.link === true)) {
    return wanted.link === true ? 'is a folder, not a link' : 'is a link, not a folder';
  }
  if (wanted.version !== undefined && there.version && plain(wanted.version) !== plain(there.version)) {
    return `is ${there.version}, ${lockfile} asks for ${wanted.version}`;
  }
  const [commit, other] = [gitCommit(wanted), gitCommit(there)];
  if (commit !== undefined && other !== undefined && commit !== other) {
    return `is at commit ${other}, ${lockfile} asks for ${commit}`;
  }
  if (!integrityAgrees(wanted.integrity, there.integrity)) {
    return `has another integrity than ${lockfile} asks for`;
  }
  return undefined;
}

/** Writes `v1.0.0` and `1.0.0+build` as npm writes them into lockfiles. */
function plain(version: string): string {
  return version
    .trim()
    .replace(/^[v=\s]+/, '')
    .replace(/\+.*$/, '');
}

function gitCommit({ resolved }: Package): string | undefined {
  return resolved?.startsWith('git') === true ? /#(.+)$/.exec(resolved)?.[1] : undefined;
}

/** Subresource Integrity: any hash in common, of those algorithms that both have. */
function integrityAgrees(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined || a === b) return true;
  const theirs = b.split(/\s+/);
  const algorithms = new Set(theirs.map((hash) => hash.split('-', 1)[0]));
  const ours = a.split(/\s+/).filter((hash) => algorithms.has(hash.split('-', 1)[0]));
  return ours.length === 0 || ours.some((hash) => theirs.includes(hash));
}
