/**
 * A mark says that an installer has begun and not ended well. A tree that a killed installer leaves may pass
 * every check and still lack what the last scripts would have made, so it neither counts as installed nor is
 * saved. The mark lies in the home of the lease, which an installer that empties its target does not reach.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { readSmallText } from '../../files/read-small-file.ts';
import { replaceFile } from '../files/atomic-file.ts';
import { targetError } from '../files/errors.ts';

/** Its name in a home. */
export const MARK = 'installing.json';

/**
 * - `none`: what is there was installed to the end, or by somebody else.
 * - `left`: the installer of an earlier run did not end well.
 * - `under way`: we were started by the installer itself.
 */
export type Marked = 'none' | 'left' | 'under way';

/**
 * @param token of the lease that the installer runs under.
 * @throws CacheError TARGET_UNWRITABLE, DISK_FULL
 */
export function writeMark(home: string, token: string): void {
  try {
    replaceFile(join(home, MARK), `${JSON.stringify({ token })}\n`, 0o600);
  } catch (error) {
    throw targetError(error, `write ${MARK} in ${home}`);
  }
}

/** @param tokens of the leases that we work under */
export function readMark(home: string, tokens: readonly string[]): Marked {
  let text: string;
  try {
    text = readSmallText(join(home, MARK), { maxBytes: MAX_MARK_BYTES, followLinks: false });
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? 'none' : 'left';
  }
  return tokens.some((token) => text.includes(token)) ? 'under way' : 'left';
}

/** @throws CacheError TARGET_UNWRITABLE */
export function removeMark(home: string): void {
  try {
    rmSync(join(home, MARK), { recursive: true, force: true });
  } catch (error) {
    throw targetError(error, `remove ${MARK} in ${home}`);
  }
}

const MAX_MARK_BYTES = 4096;
