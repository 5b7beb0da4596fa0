/** Mends are typed by people who trust them: nothing else in the file may change. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readEnvFile } from '../../src/config/env-file.ts';
import { surveyConfig } from '../../src/config/survey.ts';
import { unset } from '../../src/doctor/mend.ts';

let project = '';
beforeEach(() => void (project = mkdtempSync(join(tmpdir(), 'sandbox-cache-test-'))));
afterEach(() => rmSync(project, { recursive: true }));

/** One assignment as a file may have it. */
const value = fc.oneof(
  fc.stringMatching(/^[a-z0-9]{1,8}$/),
  fc.stringMatching(/^[a-z ]{1,8}$/).map((text) => `"${text}"`),
  fc
    .tuple(fc.stringMatching(/^[a-z]{1,4}$/), fc.stringMatching(/^[a-z]{1,4}$/))
    .map((two) => `'${two.join('\n')}'`),
);

it('a setting is taken out of the file, and every other one stays', () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), fc.nat(), (values, choice) => {
      const path = join(project, '.env.claude-sandbox');
      const name = `NAME_${choice % values.length}`;
      writeFileSync(path, values.map((text, n) => `NAME_${n}=${text}\n`).join(''));
      const { [name]: gone, ...others } = readEnvFile(path).values;
      const mend = unset(surveyConfig({ project }, {}), name, 'file');
      // Where the file is to be edited by hand, it is left as it is.
      execFileSync('sh', ['-c', mend], { env: { ...process.env, EDITOR: 'true' } });
      const isByHand = gone?.includes('\n') === true;
      expect(readEnvFile(path).values).toEqual(isByHand ? { ...others, [name]: gone } : others);
      expect(mend.startsWith('${EDITOR')).toBe(isByHand);
    }),
    { numRuns: 60 },
  );
});
