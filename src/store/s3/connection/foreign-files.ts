import { statSync } from 'node:fs';
import { CacheError } from '../../../errors.ts';
import { isNullDevice } from '../../../files/read-errors.ts';

export interface ForeignFile {
  variable: string;
  path: string;
}

/** What no configuration, token or list of certificates comes to. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Looks at files that the SDK and Node read by themselves, before they do: an ordinary read of a FIFO or of
 * `/dev/zero` never returns, and nothing can stop it. What is missing or a directory they pass over.
 * @throws CacheError CONFIG_INVALID
 */
export function requireOrdinary(files: readonly ForeignFile[]): void {
  for (const { variable, path } of files) {
    let stat;
    try {
      stat = statSync(path);
    } catch {
      continue;
    }
    const waits = stat.isFIFO() || stat.isCharacterDevice() || stat.isBlockDevice();
    if (waits && !isNullDevice(path)) throw refuse(variable, `${path} is not a regular file`);
    if (stat.size > MAX_BYTES && stat.isFile()) throw refuse(variable, `${path} is too large`);
  }
}

function refuse(variable: string, what: string): CacheError {
  return new CacheError('CONFIG_INVALID', `${variable}: ${what}`, {
    hint: 'It takes the path of a text file.',
  });
}
