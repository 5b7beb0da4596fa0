/**
 * Compiled files are only used where they can be loaded. What they need of a machine travels with the entry.
 * A machine that lacks some of it takes the entry for a miss. It then has an entry of its own, under the same
 * key with the name of its image behind the runtime, so that two kinds of image never replace each other's
 * entry.
 */
import { EXTENSIONS } from '../archive/types.ts';
import type { CompiledFile } from '../compiled/compiled-file.ts';
import type { Project } from '../recipes/support/recipe.ts';
import { platformOf } from '../recipes/support/runtime.ts';
import { which } from '../recipes/support/which.ts';
import { readReceipt, type Receipt } from '../workspace/notes/receipt.ts';
import type { Subject } from './identify.ts';
import { entryUrl, type Session } from './session.ts';
import { witness } from './witness.ts';

/** Name of the metadata that holds the needs. Entries without compiled files do not have it. */
const NEEDS = 'sandbox-cache-needs';

type Metadata = Readonly<Record<string, string>>;

export function needsIn(metadata: Metadata): string {
  return metadata[NEEDS] ?? '';
}

/** The metadata of an entry that holds these compiled files. */
export async function needsMetadata(
  { recipe, project }: Subject,
  files: readonly CompiledFile[],
): Promise<Metadata> {
  if (files.length === 0) return {};
  const [{ needsOf }, machine] = await Promise.all([import('../compiled/needs.ts'), machineOf(project)]);
  const program = recipe.program === undefined ? undefined : which(recipe.program, project);
  const needs = needsOf(files, machine, platformOf(program).arch);
  return needs === '' ? {} : { [NEEDS]: needs };
}

/** Which needs this machine does not meet, as text. Undefined if it meets all. */
export async function lackedHere(needs: string | undefined, project: Project): Promise<string | undefined> {
  if (needs === undefined || needs === '') return undefined;
  const [{ unmetNeeds }, machine] = await Promise.all([import('../compiled/needs.ts'), machineOf(project)]);
  const unmet = unmetNeeds(needs, machine);
  return unmet.length === 0 ? undefined : unmet.join(', ');
}

/**
 * Whether a receipt is for this subject, under a key that it has here, and for files that can be loaded here.
 */
export async function isFitHere(
  { key, needs }: Pick<Receipt, 'key' | 'needs'>,
  subject: Subject,
): Promise<boolean> {
  const stem = subject.key.slice(0, -EXTENSIONS[subject.compression].length);
  const isOwn =
    key === subject.key || (key.startsWith(`${stem}-`) && key === (await forThisImage(subject)).key);
  return isOwn && (await lackedHere(needs, subject.project)) === undefined;
}

/**
 * Which needs of the tree in place this machine does not meet. Such a tree was restored or saved on another
 * image, and nobody has installed over it since.
 */
export async function lackedInPlace(
  subject: Pick<Subject, 'recipe' | 'project'>,
): Promise<string | undefined> {
  const { recipe, project } = subject;
  const receipt = readReceipt(project.dir, recipe.mainTarget);
  if (receipt?.needs === undefined || receipt.witness !== witness(subject, receipt.targets)) return undefined;
  return lackedHere(receipt.needs, project);
}

/** The entry that this machine may use, and the subject under the key that it has here. */
export interface Found<T> {
  subject: Subject;
  /** One that fits. */
  entry: T | undefined;
  /** An entry of this kind of image that does not fit this machine all the same. */
  misfit?: T;
}

/**
 * Looks for an entry that fits this machine: under the subject's key, and under that of this kind of image if
 * what is found there does not fit.
 * @param look returns what the store has under a key
 * @param pass is called with an entry that does not fit and will not be used
 */
export async function findFitting<T extends { metadata: Metadata }>(
  session: Session,
  subject: Subject,
  { look, pass }: { look: (key: string) => Promise<T | undefined>; pass?: (entry: T) => Promise<unknown> },
): Promise<Found<T>> {
  const { project } = subject;
  const lacked = async (entry: T | undefined): Promise<string | undefined> => {
    const text = entry && (await lackedHere(needsIn(entry.metadata), project));
    if (entry !== undefined && text !== undefined) await pass?.(entry);
    return text;
  };
  const entry = await look(subject.key);
  const lackedOfShared = await lacked(entry);
  if (lackedOfShared === undefined) return { subject, entry };

  const here = await forThisImage(subject);
  session.emit({ type: 'step', text: `${subject.key} needs ${lackedOfShared}, which this machine lacks` });
  session.emit({ type: 'step', text: `Looking up ${entryUrl(session.config, here.key)}` });
  const own = await look(here.key);
  const lackedOfOwn = await lacked(own);
  if (own !== undefined && lackedOfOwn === undefined) return { subject: here, entry: own };
  session.emit({
    type: 'warning',
    message: `Compiled files of ${own === undefined ? subject.key : here.key} need ${lackedOfOwn ?? lackedOfShared}, which this machine lacks`,
    hint:
      own === undefined
        ? `It counts as a miss. A save on this machine goes to ${here.key}.`
        : `It counts as a miss. Install the same system packages on all machines with ${here.runtime}.`,
  });
  return { subject: here, entry: undefined, ...(own === undefined ? {} : { misfit: own }) };
}

/** The subject with this kind of image behind its runtime, e.g. `linux-x64-ruby3.1.0-debian11`. */
export async function forThisImage(subject: Subject): Promise<Subject> {
  const { key, runtime } = subject;
  const image = (await machineOf(subject.project)).image();
  const extension = EXTENSIONS[subject.compression];
  return {
    ...subject,
    runtime: runtime === '' ? image : `${runtime}-${image}`,
    key: `${key.slice(0, -extension.length)}-${image}${extension}`,
  };
}

async function machineOf({ env }: Project): Promise<import('../compiled/machine.ts').Machine> {
  return (await import('../compiled/machine.ts')).createMachine({ env });
}
