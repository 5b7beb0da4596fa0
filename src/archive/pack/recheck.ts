/**
 * Checks that the tree is still what the walk found, after all of its files were read. Each file was checked
 * when it was read, so this looks for what was added, removed or replaced. It costs one `lstat` for each
 * directory. Directories that have changed are listed again, because changes to excluded paths do not count.
 */
import type { Pool } from '../workers/pool.ts';
import { statRoot, type Listing, type SourceOptions, type SourceTree } from './source-tree.ts';
import { changed } from './errors.ts';
import { typeBits, S_IFDIR } from './stat.ts';
import { CTIME, INODE, MODE, STAT_FIELDS, type WalkReply, type LookJob } from '../workers/protocol.ts';

/** Directories looked at in one job: some milliseconds of work. */
const BATCH = 1000;

/** @throws CacheError SOURCE_CHANGED, SOURCE_UNREADABLE */
export async function recheck(
  pool: Pool,
  tree: SourceTree,
  { base, excludes }: Pick<SourceOptions, 'base' | 'excludes'>,
): Promise<void> {
  const suspects: string[] = [];
  for (const { path, stat } of tree.roots) {
    const now = statRoot(base, path);
    if (now.ino !== stat.ino || now.dev !== stat.dev) throw changed(path, 'changed');
    // A file was compared when it was read.
    if (now.ctimeNs !== stat.ctimeNs && stat.isDirectory()) suspects.push(path);
  }
  const looked = await Promise.all(lookJobs(base, tree).map((job) => pool.run(job)));
  for (const reply of looked) suspects.push(...reply.changed);
  for (const dir of suspects) {
    const now = await pool.run({ type: 'walk', base, dirs: [dir], excludes, budget: 1 });
    compare(dir, entriesOf(tree.dirs.get(dir)!), entriesOf(listingOf(now)));
  }
}

/** All directories but the roots, which may be links, and `lstat` does not follow those. */
function lookJobs(base: string, tree: SourceTree): LookJob[] {
  const jobs: LookJob[] = [];
  let dirs: string[] = [];
  let stats: number[] = [];
  const finish = (): void => {
    if (dirs.length > 0)
      jobs.push({ type: 'look', base, dirs: dirs.join('\0'), stats: Float64Array.from(stats) });
    dirs = [];
    stats = [];
  };
  for (const [parent, listing] of tree.dirs) {
    listing.names.forEach((name, n) => {
      if (typeBits(listing.stats[n * STAT_FIELDS + MODE]!) !== S_IFDIR) return;
      dirs.push(`${parent}/${name}`);
      stats.push(listing.stats[n * STAT_FIELDS + CTIME]!, listing.stats[n * STAT_FIELDS + INODE]!);
      if (dirs.length === BATCH) finish();
    });
  }
  finish();
  return jobs;
}

function listingOf({ names, stats, inodes, linkTargets }: WalkReply): Listing {
  return { names: names === '' ? [] : names.split('\0'), stats, inodes, linkTargets };
}

/** What must be the same for each name. Subdirectories are checked by themselves. */
function entriesOf({ names, stats }: Listing): Map<string, string> {
  return new Map(
    names.map((name, n) => {
      const numbers = stats.subarray(n * STAT_FIELDS, (n + 1) * STAT_FIELDS);
      return [name, typeBits(numbers[MODE]!) === S_IFDIR ? `directory ${numbers[INODE]}` : numbers.join(' ')];
    }),
  );
}

function compare(dir: string, before: Map<string, string>, now: Map<string, string>): void {
  for (const [name, entry] of before) {
    if (!now.has(name)) throw changed(`${dir}/${name}`, 'vanished');
    if (now.get(name) !== entry) throw changed(`${dir}/${name}`, 'changed');
  }
  for (const name of now.keys()) if (!before.has(name)) throw changed(`${dir}/${name}`, 'appeared');
}
