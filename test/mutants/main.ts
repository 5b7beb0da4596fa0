/**
 * Mutation testing: writes small mistakes into the code, one at a time, and runs the tests that mirror it. A mistake that no test
 * notices is a hole in the suite, or makes no difference.
 *
 * Each mistake gets a run of Vitest of its own, by Stryker's command runner. That is slower than its Vitest runner, which keeps
 * all tests in threads of one process: there the umask cannot be set, and a mistake does not reach worker threads and child
 * processes. Here both inherit the environment variable that switches a mistake on.
 *
 * usage: npm run mutants -- <folder or file of src>… [--tests <folder or file of test>…]
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Stryker } from '@stryker-mutator/core';

const args = process.argv.slice(2);
const split = args.includes('--tests') ? args.indexOf('--tests') : args.length;
const sources = args.slice(0, split).map((path) => path.replace(/\/$/, ''));
const wrong = sources.filter((path) => !path.startsWith('src/') || !existsSync(path));
if (sources.length === 0 || wrong.length > 0) {
  console.error(`usage: npm run mutants -- <folder or file of src>… [--tests <folder or file of test>…]`);
  if (wrong.length > 0) console.error(`not there, or not in src: ${wrong.join(', ')}`);
  process.exit(2);
}

/** `src/workspace/files/removal.ts` → its test file, or else the nearest folder of tests that mirrors one it lies in. */
function testsOf(source: string): string {
  const file = source.replace(/^src/, 'test').replace(/\.ts$/, '.test.ts');
  if (existsSync(file)) return file;
  let folder = dirname(file);
  while (!existsSync(folder)) folder = dirname(folder);
  return folder;
}

const tests = split < args.length ? args.slice(split + 1) : [...new Set(sources.map(testsOf))];
const kept = '.mutants';
mkdirSync(kept, { recursive: true });
console.log(`Tests: ${tests.join(' ')}`);

await new Stryker({
  mutate: sources.map((path) => (path.endsWith('.ts') ? path : `${path}/**/*.ts`)),
  // Texts are for people: the tests hold those that are promised.
  mutator: { excludedMutations: ['StringLiteral'] },
  testRunner: 'command',
  commandRunner: {
    command: `node_modules/.bin/vitest run --config test/vitest.config.ts --bail 1 --maxWorkers 1 ${tests.join(' ')}`,
  },
  concurrency: 2,
  timeoutMS: 20_000,
  incremental: true,
  incrementalFile: join(kept, `${sources.join('+').replaceAll('/', '-')}.json`),
  tempDirName: join(kept, 'tmp'),
  reporters: ['clear-text', 'progress-append-only'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  thresholds: { high: 80, low: 60, break: null },
  allowEmpty: true,
}).runMutationTest();
