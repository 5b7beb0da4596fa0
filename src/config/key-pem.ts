import { resolve } from 'node:path';
import { systemCode } from '../errors.ts';
import { readError } from '../files/read-errors.ts';
import { readSmallText } from '../files/read-small-file.ts';
import { invalid, type Variables } from './values.ts';

const MAX_KEY_BYTES = 64 * 1024;
/** Something is there, so the value is a path and not a key in a form that is not known here. */
const IS_THERE: readonly (string | undefined)[] = ['ENOTREG', 'EFBIG', 'EACCES', 'ELOOP', 'ENXIO'];

/** PEM text, also with `\n` written out as secrets managers do, or a file's path. */
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
    // Without the cause: it repeats the value, which may be a key.
    if (IS_THERE.includes(systemCode(error)))
      throw invalid(name, `${name}: ${path} ${readError(error)}`, { hint });
  }
  if (key?.includes('-----BEGIN') === true) return key;
  throw invalid(name, `${name} is neither a PEM key nor a readable file that holds one`, { hint });
}
