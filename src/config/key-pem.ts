import { resolve } from 'node:path';
import { systemCode } from '../errors.ts';
import { readError } from '../files/read-errors.ts';
import { readSmallText } from '../files/read-small-file.ts';
import { invalid, type Variables } from './values.ts';

const MAX_KEY_BYTES = 64 * 1024;
/** Errors that mean that a file exists. So the value is a path, and not a key in an unknown form. */
const IS_THERE: readonly (string | undefined)[] = ['ENOTREG', 'EFBIG', 'EACCES', 'ELOOP', 'ENXIO'];

/**
 * Reads a key from PEM text or from the file at a path. In the text `
 * ` may be written out, as secrets managers do.
 */
export function pem(env: Variables, name: string, projectDir: string): string | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  if (text.includes('-----BEGIN')) return text.replaceAll('\\n', '\n');
  const path = resolve(projectDir, text);
  const hint = 'sandbox-cache keygen makes a pair of keys.';
  let key: string | undefined;
  try {
    key = readSmallText(path, { maxBytes: MAX_KEY_BYTES });
  } catch (error) {
    // The cause is left out, because it repeats the value, which may be a key.
    if (IS_THERE.includes(systemCode(error)))
      throw invalid(name, `${name}: ${path} ${readError(error)}`, { hint });
  }
  if (key?.includes('-----BEGIN') === true) return key;
  throw invalid(name, `${name} is neither a PEM key nor a readable file that holds one`, { hint });
}
