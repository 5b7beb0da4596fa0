import { CacheError } from '../errors.ts';
import type { ListedMember } from '../archive/list.ts';
import { strangeName } from '../recipes/index.ts';
import type { Recipe } from '../recipes/recipe.ts';
import type { EntryInfo, OpenEntry } from '../store/store.ts';
import { parseKey } from '../key.ts';
import { fullKey } from './entries.ts';
import { findFitting } from './fit.ts';
import { identify } from './identify.ts';
import { readEntry } from './reading.ts';
import { type Session, withDeadline } from './session.ts';

export interface Inspection {
  info: EntryInfo;
  url: string;
  metadata: Record<string, string>;
  members: ListedMember[];
}

/** Reads an entry through, without writing anything. @param what a recipe found here, or a key with or without the prefix */
export async function inspect(session: Session, what: Recipe | string): Promise<Inspection> {
  const key = typeof what === 'string' ? keyNamed(session, what) : await keyOf(session, what);
  const compression = parseKey(key, session.config.prefix)!.compression;
  return withDeadline(session, `Inspecting ${key}`, async (signal) => {
    const store = await session.store();
    const { list } = await import('../archive/list.ts');
    const options = { compression, signal, limits: session.config.limits };
    const inspectEntry = async ({ info, metadata, body }: OpenEntry): Promise<Inspection> => {
      const members: ListedMember[] = [];
      for await (const member of list(body, options)) members.push(member);
      return { info, url: store.url(key), metadata, members };
    };
    const entry = await store.open(key, { signal });
    const found = entry && (await readEntry({ session, store, signal }, entry, inspectEntry));
    if (found !== undefined && found !== 'deleted') return found;
    throw new CacheError('STORE_NO_ENTRY', `There is no entry ${store.url(key)}`, {
      hint: 'sandbox-cache list shows the entries there are.',
    });
  });
}

/** What to type for a recipe that only flags describe. */
const OTHERWISE =
  'For anything else add --lockfile <file> --path <dir>, or give a key as sandbox-cache list shows them.';

/** @throws CacheError USAGE */
function keyNamed(session: Session, text: string): string {
  // A key has dots, the name of a recipe has none.
  const error = text.includes('.') ? undefined : strangeName(session.config.projectDir, text, OTHERWISE);
  if (error !== undefined) throw error;
  return fullKey(session, text);
}

/** The key of the entry that a restore would take. */
async function keyOf(session: Session, recipe: Recipe): Promise<string> {
  const subject = await identify(session, recipe);
  if (subject !== undefined) {
    return withDeadline(session, `Looking up ${recipe.name}`, async (signal) => {
      const store = await session.store();
      const found = await findFitting(session, subject, { look: (key) => store.stat(key, { signal }) });
      return found.subject.key;
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
