import { cp, readFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, shell } from '../measure.ts';
import type { CorpusSource } from './corpus.ts';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const LOCKFILE = join(PROJECT, 'package-lock.json');

/** S: the tree that every developer of this project has anyway. */
export const smallCorpus: CorpusSource = {
  name: 'S',
  title: "this project's own node_modules",
  version: createHash('sha256')
    .update(await readFile(LOCKFILE))
    .digest('hex')
    .slice(0, 12),
  roots: ['node_modules'],
  lockfiles: ['package.json', 'package-lock.json'],
  recipe: ['npm'],
  async make(dir) {
    for (const file of ['package.json', 'package-lock.json']) await cp(join(PROJECT, file), join(dir, file));
    // Tools keep caches in these folders; an entry leaves them out, so a rival must not be charged for them.
    await measure(
      shell(`tar -C '${PROJECT}' --exclude=node_modules/.[cv]* -cf - node_modules | tar -C '${dir}' -xf -`),
    );
  },
};
