import { EXTENSIONS } from '../archive/types.ts';
import { recipeEnvironment } from '../config/config.ts';
import { CacheError } from '../errors.ts';
import { entryKey } from '../key.ts';
import { findRecipe } from '../recipes/index.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import { runtime as plainRuntime } from '../recipes/support/runtime.ts';
import { storedEntries, type StoredEntry } from '../session/stored-entries.ts';
import { findFitting } from '../session/fit.ts';
import { identify, runtimeHere, type Subject } from '../session/identify.ts';
import type { OutcomeDetail, Standing } from '../session/outcome.ts';
import { entryUrl, type Session } from '../session/session.ts';
import { withDeadline } from '../session/deadline.ts';

/** Prints the key or the URL, without opening the store. */
export async function key(
  session: Session,
  recipe: Recipe,
  { url }: { url?: boolean },
): Promise<OutcomeDetail> {
  const subject = await identify(session, recipe);
  if (subject === undefined) return { type: 'no-lockfile', lockfiles: recipe.lockfiles };
  return { type: 'key', key: url === true ? entryUrl(session.config, subject.key) : subject.key };
}

/** The key that a lockfile with this hash has here, for scripts that hash by themselves. Any name will do. */
export async function keyOfHash(
  session: Session,
  { name, hash, url }: { name: string; hash: string; url?: boolean },
): Promise<string> {
  const { config } = session;
  const recipe = findRecipe(config.projectDir, name);
  const here =
    recipe === undefined
      ? plainRuntime('')
      : await runtimeHere(session, recipe, {
          dir: config.projectDir,
          lockfile: recipe.lockfiles[0] ?? '',
          env: recipeEnvironment(config, recipe),
        });
  const runtime = config.keyRuntime ? here : '';
  const { prefix, compression } = config;
  const key = entryKey({ prefix, recipe: name, digest: hash, runtime, extension: EXTENSIONS[compression] });
  return url === true ? entryUrl(config, key) : key;
}

/** Every ingredient of the key, and on a miss what differs from the nearest entry. */
export async function explain(session: Session, recipe: Recipe): Promise<OutcomeDetail> {
  const subject = await identify(session, recipe);
  if (subject === undefined) return { type: 'no-lockfile', lockfiles: recipe.lockfiles };
  const { key, ingredients, digest, runtime } = subject;
  return { type: 'explained', key, ingredients, digest, runtime, standing: await standing(session, subject) };
}

async function standing(session: Session, subject: Subject): Promise<Standing> {
  if (session.config.store.type === 'off') return { type: 'unknown', reason: 'CACHE_S3_BUCKET is not set' };
  try {
    const entries = await storedEntries(session, [subject.recipe.name]);
    const store = await session.store();
    const found = await withDeadline(session, `Looking up ${subject.recipe.name}`, (signal) =>
      findFitting(session, subject, { look: (key) => store.stat(key, { signal }) }),
    );
    const exact = found.entry && entries.find((entry) => entry.key === found.subject.key);
    return exact === undefined ? missing(found.subject, entries) : { type: 'stored', entry: exact };
  } catch (error) {
    if (!(error instanceof CacheError) || error.code === 'INTERRUPTED') throw error;
    return { type: 'unknown', reason: error.message };
  }
}

/**
 * Nearest: the same lockfile for another runtime before another lockfile for this one; newest first among
 * equals.
 */
function missing(subject: Subject, entries: readonly StoredEntry[]): Standing {
  const nearest =
    entries.find((entry) => entry.hash === subject.hash) ??
    entries.find((entry) => entry.runtime === subject.runtime) ??
    entries[0];
  if (nearest === undefined) return { type: 'missing', differs: [] };
  const differs: string[] = [];
  if (nearest.hash !== subject.hash) {
    differs.push(
      `hash: ${nearest.hash} there, ${subject.hash} here (another ${subject.project.lockfile}, salt or variable)`,
    );
  }
  if (nearest.runtime !== subject.runtime) {
    differs.push(`runtime: ${nearest.runtime || 'none'} there, ${subject.runtime || 'none'} here`);
  }
  const ending = (key: string): string => /\.tar(\.\w+)?$/.exec(key)?.[0] ?? '';
  if (ending(nearest.key) !== ending(subject.key)) {
    differs.push(
      `compression: ${ending(nearest.key)} there, ${ending(subject.key)} here (CACHE_COMPRESSION)`,
    );
  }
  return { type: 'missing', nearest, differs };
}
