import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CacheError, reasonOf } from '../../errors.ts';
import type { Project } from '../../recipes/support/recipe.ts';

/**
 * Runs an installer that has to leave the lockfile alone. If it does not, the lockfile is put back, also when
 * the installer was stopped.
 * @throws CacheError SOURCE_CHANGED when the lockfile had to be put back, or could not be; whatever the
 *   installer's run throws
 */
export async function keepingLockfile<T>(
  { dir, lockfile }: Pick<Project, 'dir' | 'lockfile'>,
  run: () => Promise<T>,
): Promise<T> {
  const path = join(dir, lockfile);
  const before = readFileSync(path);
  const what = `the installer has changed ${lockfile}`;

  /** @returns whether there was anything to put back */
  function putBack(): boolean {
    if (holds(path, before)) return false;
    try {
      writeFileSync(path, before);
    } catch (error) {
      const hint = 'Take it from the repository again before you commit.';
      throw new CacheError('SOURCE_CHANGED', `${what}, which could not be put back: ${reasonOf(error)}`, {
        hint,
        cause: error,
      });
    }
    return true;
  }

  let result: T;
  try {
    result = await run();
  } catch (error) {
    throw withLoss(error, putBack);
  }
  if (putBack()) throw new CacheError('SOURCE_CHANGED', `${what}, which is put back`);
  return result;
}

function holds(path: string, bytes: Buffer): boolean {
  try {
    return readFileSync(path).equals(bytes);
  } catch {
    return false;
  }
}

/** Adds to what stopped a run that the lockfile could not be put back, if so. */
function withLoss(error: unknown, putBack: () => void): unknown {
  try {
    putBack();
    return error;
  } catch (loss) {
    if (!(loss instanceof CacheError)) throw loss;
    const code = error instanceof CacheError ? error.code : loss.code;
    const message = `${reasonOf(error)}; ${loss.message}`;
    return new CacheError(code, message, {
      ...(loss.hint === undefined ? {} : { hint: loss.hint }),
      cause: error,
    });
  }
}
