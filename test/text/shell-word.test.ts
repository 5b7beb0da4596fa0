import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { shellWord } from '../../src/text/shell-word.ts';

it('is one word of a shell, whatever it holds', () => {
  const text = fc.string({
    unit: fc.constantFrom("'", '"', '$', '`', '\\', ' ', '\n', '*', '!', ';', 'a', 'ü'),
  });
  fc.assert(
    fc.property(fc.array(text, { minLength: 20, maxLength: 20 }), (words) => {
      const script = `printf '%s\\0' ${words.map(shellWord).join(' ')}`;
      expect(execFileSync('sh', ['-c', script], { encoding: 'utf8' })).toBe(`${words.join('\0')}\0`);
    }),
    { numRuns: 20 },
  );
});
