import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { invalid, type Variables } from './values.ts';

/** PEM text, also with `\n` written out as secrets managers do, or a file's path. */
export function pem(env: Variables, name: string, projectDir: string): string | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  if (text.includes('-----BEGIN')) return text.replaceAll('\\n', '\n');
  let key: string | undefined;
  try {
    key = readFileSync(resolve(projectDir, text), 'utf8');
  } catch {
    // Told below. The cause holds the value, which may be a key in a form not known here.
  }
  if (key?.includes('-----BEGIN') === true) return key;
  throw invalid(
    `${name} is neither a PEM key nor a readable file that holds one`,
    'sandbox-cache keygen makes a pair of keys.',
  );
}
