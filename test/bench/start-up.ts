/** What a command costs that has nothing to do, against Node's own start. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import { measure, type Command } from './measure.ts';
import { runRounds, type Contender, type Series } from './rounds.ts';

const CLI = fileURLToPath(new URL('../../bin/sandbox-cache.js', import.meta.url));

/** Nobody listens there: a command that asks the network fails instead of being measured. */
const NO_NETWORK = {
  CACHE_S3_BUCKET: 'nowhere',
  AWS_ENDPOINT_URL: 'http://127.0.0.1:9',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
};

/** @param corpus an npm project */
export async function startUpRounds(bench: Bench, corpus: Corpus): Promise<Series[]> {
  const project = join(bench.scratch, 'start-up');
  mkdirSync(project);
  for (const file of corpus.lockfiles) cpSync(join(corpus.dir, file), join(project, file));
  const few = join(bench.scratch, 'start-up-few');
  makeOnePackage(few);
  const local = { CACHE_LOCAL_DIR: join(bench.scratch, 'start-up-store') };
  await measure(cli(['-C', corpus.dir, 'save', 'npm'], local));
  await measure(cli(['-C', project, 'restore', 'npm'], local));
  await measure(cli(['-C', few, 'save', 'npm'], local));

  const contenders: Contender[] = [
    { id: 'start-up/node', label: '`node -e 0`', command: () => node(['-e', '0']) },
    {
      id: 'start-up/key',
      label: '`sandbox-cache key npm`',
      command: () => cli(['-C', project, 'key', 'npm'], {}),
    },
    {
      id: 'start-up/receipt',
      label: '`sandbox-cache restore npm`, already in place, one package',
      command: () => cli(['-C', few, 'restore', 'npm'], NO_NETWORK),
    },
    {
      id: 'start-up/receipt-of-corpus',
      label: "`sandbox-cache restore npm`, already in place, with this project's packages",
      command: () => cli(['-C', project, 'restore', 'npm'], NO_NETWORK),
    },
    {
      id: 'start-up/no-bucket',
      label: '`sandbox-cache restore npm`, no bucket set',
      command: () => ({ ...cli(['-C', project, 'restore', 'npm'], {}), accept: [1] }),
    },
  ];
  const series = await runRounds(contenders, bench.options.startUpRuns, () => {});
  for (const dir of [project, few]) await rm(dir, { recursive: true });
  await rm(local.CACHE_LOCAL_DIR, { recursive: true });
  return series;
}

/** What npm leaves of a project with one dependency. */
function makeOnePackage(dir: string): void {
  mkdirSync(join(dir, 'node_modules/one'), { recursive: true });
  const write = (name: string, value: unknown): void => writeFileSync(join(dir, name), JSON.stringify(value));
  const lock = { name: 'app', version: '1.0.0', lockfileVersion: 3, requires: true };
  const root = { name: 'app', version: '1.0.0', dependencies: { one: '1.0.0' } };
  const packages = { 'node_modules/one': { version: '1.0.0' } };
  write('package.json', root);
  write('package-lock.json', { ...lock, packages: { '': root, ...packages } });
  write('node_modules/one/package.json', { name: 'one', version: '1.0.0' });
  // Last: npm takes one that is older than the packages for outdated.
  write('node_modules/.package-lock.json', { ...lock, packages });
}

function cli(args: readonly string[], env: Record<string, string>): Command {
  return { ...node([CLI, ...args]), env };
}

function node(args: readonly string[]): Command {
  return { program: process.execPath, args };
}
