import { CacheError } from '../errors.ts';
import type { ListedMember } from '../archive/read/list.ts';
import type { UnpackRoot } from '../archive/types.ts';
import { strangeName } from '../recipes/index.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import type { EntryInfo, OpenEntry } from '../store/store.ts';
import { parseKey } from '../key.ts';
import { fullKey } from '../session/stored-entries.ts';
import { findFitting } from '../session/fit.ts';
import { identify, type Subject } from '../session/identify.ts';
import { unpackRoots } from '../session/place.ts';
import { archiveChecks, readEntry } from '../session/reading.ts';
import type { Session } from '../session/session.ts';
import { withDeadline } from '../session/deadline.ts';

export interface Inspection {
  info: EntryInfo;
  url: string;
  metadata: Record<string, string>;
  members: ListedMember[];
}

/**
 * Reads a whole entry without writing anything, and refuses whatever a restore would refuse before it touches
 * the disk.
 * @param what a recipe found here, or a key with or without the prefix
 */
export async function inspect(session: Session, what: Recipe | string): Promise<Inspection> {
  const subject = typeof what === 'string' ? undefined : await subjectOf(session, what);
  const key = subject?.key ?? keyNamed(session, what as string);
  const { recipe, hash, runtime = '', compression } = parseKey(key, session.config.prefix)!;
  const expected = { keyDigest: subject?.digest ?? hash, recipe, runtime };
  const roots = subject && (await rootsOf(session, subject));
  return withDeadline(session, `Inspecting ${key}`, async (signal) => {
    const store = await session.store();
    const { list } = await import('../archive/read/list.ts');
    const inspectEntry = async (entry: OpenEntry): Promise<Inspection> => {
      const { info, metadata, body } = entry;
      const checks = await archiveChecks(session, entry);
      const options = { ...checks, compression, expected, signal, ...(roots && { roots }) };
      return { info, url: store.url(key), metadata, members: await list(body, options) };
    };
    const entry = await store.open(key, { signal });
    const found = entry && (await readEntry({ session, store, signal }, entry, inspectEntry));
    if (found !== undefined && found !== 'deleted') return found;
    throw new CacheError('STORE_NO_ENTRY', `There is no entry ${store.url(key)}`, {
      hint: 'sandbox-cache list shows the entries there are.',
    });
  });
}

/**
 * Where a restore of the recipe would put things. Of a key alone that is not known: it may be another
 * project's.
 */
async function rootsOf(session: Session, { recipe, project }: Subject): Promise<UnpackRoot[]> {
  const targets = await recipe.targets(project);
  return unpackRoots(
    session,
    recipe,
    targets.map((target) => ({ prefix: target, dir: target })),
  );
}

/** What to type for a recipe that is described by flags alone. */
const OTHERWISE =
  'For anything else add --lockfile <file> --path <dir>, or give a key as sandbox-cache list shows them.';

/** @throws CacheError USAGE */
function keyNamed(session: Session, text: string): string {
  // A key has dots; the name of a recipe does not.
  const error = text.includes('.') ? undefined : strangeName(session.config.projectDir, text, OTHERWISE);
  if (error !== undefined) throw error;
  return fullKey(session, text);
}

/** What a restore would ask the store for. */
async function subjectOf(session: Session, recipe: Recipe): Promise<Subject> {
  const subject = await identify(session, recipe);
  if (subject !== undefined) {
    return withDeadline(session, `Looking up ${recipe.name}`, async (signal) => {
      const store = await session.store();
      const found = await findFitting(session, subject, { look: (key) => store.stat(key, { signal }) });
      return found.subject;
    });
  }
  throw new CacheError(
    'USAGE',
    `There is no ${recipe.lockfiles.join(' or ')} in ${session.config.projectDir}`,
    {
      hint: 'Run it in the project, or give a whole key.',
    },
  );
}
