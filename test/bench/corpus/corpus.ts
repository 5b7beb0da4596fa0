/** A corpus is a project directory: a lockfile and what an install put beside it. Made once, kept outside the repository. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CorpusName } from '../options.ts';

export interface Corpus {
  name: CorpusName;
  title: string;
  /** The project directory, in the scratch directory. */
  dir: string;
  /** What is packed, relative to `dir`. */
  roots: readonly string[];
  /** What a fresh clone has: copied to where a restore runs. */
  lockfiles: readonly string[];
  /** Names the cache on our command line, e.g. `npm`. */
  recipe: readonly string[];
  tree: TreeSize;
}

/** What a corpus is made from. `version` changes when what `make` puts there does. */
export interface CorpusSource extends Omit<Corpus, 'dir' | 'tree'> {
  version: string;
  /** @throws Error where this machine lacks what it takes */
  make: (dir: string) => Promise<void>;
}

export interface TreeSize {
  files: number;
  directories: number;
  links: number;
  /** Sum of the files' sizes. */
  bytes: number;
}

/** Written by us after a restore; no part of the tree. */
const MARKERS = ['.sandbox-cache-receipt.json', '.installed'];

/** Reads directories and every file's size: enough to notice that something is missing. */
export async function sizeOf(roots: readonly string[]): Promise<TreeSize> {
  const total: TreeSize = { files: 0, directories: 0, links: 0, bytes: 0 };
  const pending = [...roots];
  for (let dir = pending.pop(); dir !== undefined; dir = pending.pop()) {
    total.directories++;
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) pending.push(path);
      else if (MARKERS.includes(entry.name)) continue;
      else if (entry.isSymbolicLink()) total.links++;
      else {
        total.files++;
        total.bytes += (await stat(path)).size;
      }
    }
  }
  return total;
}
