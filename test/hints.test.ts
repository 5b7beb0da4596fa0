import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const SRC = new URL('../src/', import.meta.url).pathname;

/** Text literals behind `hint:`, and those of a conditional there. */
const HINT =
  /hint:\s*(?:[^'"`;{}]*\?\s*)?('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)(?!\s*\+)/g;

/** Ends with something to copy: a command or a setting. */
const COPYABLE = /(?:^|: |e\.g\. )(?:sandbox-cache|aws|chmod) (?:(?!\. ).)*$|[A-Z_]+=\S+$/;

it('every hint is a full sentence with a full stop, unless it ends with something to copy', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const hints = files.flatMap((name) =>
    [...readFileSync(join(SRC, name), 'utf8').matchAll(HINT)].map(([, text = '']) => ({
      name,
      text: text.slice(1, -1),
    })),
  );
  expect(hints.length).toBeGreaterThan(100);
  // A template that ends with a value, or is cut off inside one, does not show its end here.
  const isOpen = (text: string): boolean =>
    text.endsWith('}') || text.split('${').length > text.split('}').length;
  expect(hints.filter(({ text }) => !/[.?!]$/.test(text) && !COPYABLE.test(text) && !isOpen(text))).toEqual(
    [],
  );
});
