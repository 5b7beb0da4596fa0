import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CorpusSource } from './corpus.ts';

const COMMITTED = fileURLToPath(new URL('../corpora/large/', import.meta.url));

/** L: 85,000 files of well-known npm packages, installed from the lockfile beside this folder. */
export const largeCorpus: CorpusSource = {
  name: 'L',
  title: 'node_modules of 85,000 files, installed by npm',
  version: createHash('sha256')
    .update(await readFile(join(COMMITTED, 'package-lock.json')))
    .digest('hex')
    .slice(0, 12),
  roots: ['node_modules'],
  lockfiles: ['package.json', 'package-lock.json'],
  recipe: ['npm'],
  async make(dir) {
    for (const file of ['package.json', 'package-lock.json'])
      await cp(join(COMMITTED, file), join(dir, file));
    // The packages' peers disagree with each other, which is nothing that their files would show.
    const flags = ['ci', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund'];
    const npm = spawnSync('npm', flags, { cwd: dir, encoding: 'utf8', timeout: 900_000 });
    if (npm.status !== 0) throw new Error(`npm ci failed: ${npm.stderr?.slice(-1000) ?? npm.error?.message}`);
  },
};
