import { rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { generateKeys } from '../archive/signature.ts';
import { CacheError, systemCode } from '../errors.ts';
import type { Session } from '../session/session.ts';

/**
 * Writes a new pair of Ed25519 keys as PEM: NAME.key, readable by its owner alone, and NAME.pub. Never over a
 * file that exists: a key that is lost makes every entry it signed worthless.
 */
export function keygen({ config }: Session, name: string): { signingKey: string; verifyKey: string } {
  const keys = generateKeys();
  const path = resolve(config.projectDir, name);
  const files = { signingKey: `${path}.key`, verifyKey: `${path}.pub` };
  write(files.signingKey, keys.signingKey, 0o600);
  try {
    write(files.verifyKey, keys.verifyKey, 0o644);
  } catch (error) {
    // We made it a moment ago. A private key without its public half is useless, but looks as if it were not.
    rmSync(files.signingKey, { force: true });
    throw error;
  }
  return files;
}

function write(path: string, text: string, mode: number): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode });
  } catch (error) {
    const exists = systemCode(error) === 'EEXIST';
    throw new CacheError(
      exists ? 'USAGE' : 'TARGET_UNWRITABLE',
      `${path} ${exists ? 'exists' : 'cannot be written'}`,
      {
        hint: exists
          ? 'Give another name: a key is never overwritten.'
          : 'Choose a directory that can be written.',
        cause: error,
      },
    );
  }
}
