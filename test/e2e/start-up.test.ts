/** What every start loads: each file costs it 0.3 ms. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const DIST = new URL('../../dist/', import.meta.url);

/** The files that Node loads before the program begins: what is imported, not what is asked for later. */
function loaded(name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen;
  seen.add(name);
  const text = readFileSync(new URL(name, DIST), 'utf8');
  // What is loaded later is required in an arrow function: `Promise.resolve().then(() => …)`.
  for (const [, imported] of text.matchAll(/(?:^|[=,;\n])require\("\.\/([^"]+)"\)/g)) loaded(imported!, seen);
  return seen;
}

it('is the program, what it shares with its commands, and what the bundler adds', () => {
  expect([...loaded('cli.cjs')]).toHaveLength(3);
});
