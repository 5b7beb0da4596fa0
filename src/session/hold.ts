import { recipeEnvironment } from '../config/config.ts';
import { CacheError, type ErrorCode } from '../errors.ts';
import { findLockfile } from '../recipes/support/lockfile.ts';
import type { Project, Recipe } from '../recipes/support/recipe.ts';
import type { Hold } from '../workspace/hold.ts';
import type { Session } from './session.ts';
import { withDeadline } from './deadline.ts';

/**
 * Tells processes that an installer starts to work under our leases. Otherwise each would wait for the other.
 */
const TOKENS_VARIABLE = 'SANDBOX_CACHE_LEASES';

export interface Holding {
  session: Session;
  recipe: Recipe;
  /**
   * Whether to wait for as long as the other run lives, because it may be installing. Otherwise
   * `CACHE_TIMEOUT` is the limit.
   */
  patient?: boolean;
}

export interface Held {
  /** For all that is done meanwhile, programs that are started included. */
  session: Session;
  /** Undefined if the directories cannot be restored at all: then there is nobody to keep out. */
  hold: Hold | undefined;
}

/**
 * Does the work while no other run touches the recipe's directories. May be used inside itself.
 * @throws CacheError TARGET_BUSY when the other run does not end in time; whatever the work throws
 */
export async function holding<T>(holding: Holding, work: (held: Held) => Promise<T>): Promise<T> {
  const { session } = holding;
  const hold = await forgiving(() => take(holding));
  if (hold === undefined) return work({ session, hold });
  try {
    return await work({ session: withTokens(session, hold.tokens), hold });
  } finally {
    hold.release();
  }
}

/** What `holding` has told the session. */
export function tokensOf({ config }: Session): readonly string[] {
  return config.env[TOKENS_VARIABLE]?.split(',') ?? [];
}

/** The project with the lockfile that is there, or would be. */
export function projectOf({ config }: Session, recipe: Recipe): Project & { hasLockfile: boolean } {
  const { projectDir: dir } = config;
  const env = recipeEnvironment(config, recipe);
  const lockfile = findLockfile(dir, recipe);
  return { dir, env, lockfile: lockfile ?? recipe.lockfiles[0] ?? '', hasLockfile: lockfile !== undefined };
}

async function take({ session, recipe, patient }: Holding): Promise<Hold> {
  const project = projectOf(session, recipe);
  const targets = project.hasLockfile ? await recipe.targets(project) : [recipe.mainTarget];
  const { takeHold } = await import('../workspace/hold.ts');
  const wait = (signal: AbortSignal): Promise<Hold> =>
    takeHold({
      projectDir: project.dir,
      targets,
      mayBeFiles: recipe.fileTargets === true,
      signal,
      tokens: tokensOf(session),
      onWait: (owner) =>
        session.emit({
          type: 'warning',
          message: `Waiting for another run at work on ${recipe.mainTarget}: ${owner}`,
        }),
    });
  if (patient === true) return wait(session.signal);
  return withDeadline(session, `Waiting for another run at work on ${recipe.mainTarget}`, wait);
}

/** If nothing can be restored, a save or an install is still possible. */
const NO_HOME: readonly ErrorCode[] = ['TARGET_UNWRITABLE', 'TARGET_REFUSED', 'DISK_FULL'];

async function forgiving(work: () => Promise<Hold>): Promise<Hold | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CacheError && NO_HOME.includes(error.code)) return undefined;
    throw error;
  }
}

function withTokens(session: Session, tokens: readonly string[]): Session {
  const known = [...new Set([...tokensOf(session), ...tokens])].join(',');
  const env = { ...session.config.env, [TOKENS_VARIABLE]: known };
  return { ...session, config: { ...session.config, env } };
}
