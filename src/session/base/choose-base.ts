/**
 * The nearest older entry: one whose packages are mostly those of today's lockfile, and that differs from the
 * entry that is missing in nothing else that goes into a key. A bucket is shared by many projects, and a
 * listing tells nothing of what entries hold. So a few are looked at: those of the lockfile's earlier
 * versions, as git tells, that of the receipt, and the newest of one page of listing.
 */
import { type CheckSignature, EXTENSIONS } from '../../archive/types.ts';
import { CacheError } from '../../errors.ts';
import { entryKey, parseKey } from '../../key.ts';
import type { EntryDetails, EntryInfo } from '../../store/store.ts';
import { readReceipt } from '../../workspace/notes/receipt.ts';
import { digestIn } from '../digest-metadata.ts';
import { lackedHere, needsIn } from '../fit.ts';
import { alikeEntries, type Looking, parsedAlike } from '../older-entries.ts';
import { checker } from '../signing.ts';
import { committedDigests } from './git-history.ts';
import { digestWith, MOST_STEPS, othersDigest, packagesOf, readLineage } from './lineage.ts';
import { likeness, type Sketch, sketchOf } from './sketch.ts';

/** How many entries are looked at. Each costs a request without a body. */
const MOST_CANDIDATES = 8;
/** Entries of one page of listing. */
const PAGE = 1000;
/** Below this an install from nothing is hardly slower. */
const LEAST_LIKENESS = 0.5;
/** So near that no other needs to be looked for. */
const NEAR = 0.9;

export interface Base {
  key: string;
  /** The SHA-256 that it was made for. */
  digest: string;
  /** Incremental installs behind it. */
  steps: number;
  /** How much of its packages and of those that are wanted is in both, 0 to 1. */
  likeness: number;
}

/** @returns undefined where no entry is near enough */
export async function chooseBase(looking: Looking): Promise<Base | undefined> {
  const { session, subject } = looking;
  const packages = await packagesOf(subject.recipe, subject.project);
  if (packages === undefined || packages.length === 0) return undefined;
  // Where keys do not name the runtime, an older entry may be of any other.
  if (!session.config.keyRuntime) return undefined;
  const judging: Judging = {
    ...looking,
    wanted: sketchOf(packages),
    others: othersDigest(subject.ingredients),
    check: await checker(session.config),
  };
  const known = await knownKeys(looking);
  const best = await nearest(judging, known);
  if (best !== undefined && best.likeness >= NEAR) return best;
  const listed = await newestKeys(looking, known);
  return nearer(best, await nearest(judging, listed.slice(0, MOST_CANDIDATES - known.length)));
}

interface Judging extends Looking {
  wanted: Sketch;
  others: string;
  check: CheckSignature | undefined;
}

/** The entry of the tree in place, and those of the lockfile's earlier versions. */
async function knownKeys({ session, subject, signal }: Looking): Promise<string[]> {
  const { ingredients, project, recipe, runtime, compression, key } = subject;
  const { prefix } = session.config;
  const extension = EXTENSIONS[compression];
  const digests = await committedDigests(project, { most: MOST_CANDIDATES, signal });
  const keys = digests.map((sha256) => {
    const digest = digestWith(ingredients, sha256);
    return entryKey({ prefix, recipe: recipe.name, digest, runtime, extension });
  });
  const receipt = readReceipt(project.dir, recipe.mainTarget);
  if (receipt !== undefined) keys.unshift(receipt.key);
  return [...new Set(keys)].filter((one) => one !== key).slice(0, MOST_CANDIDATES);
}

/** The newest of one page of listing; none where this user may not list. */
async function newestKeys(looking: Looking, known: readonly string[]): Promise<string[]> {
  const found: EntryInfo[] = [];
  try {
    for await (const { info } of alikeEntries(looking, PAGE))
      if (info.key !== looking.subject.key && !known.includes(info.key)) found.push(info);
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'STORE_ACCESS_DENIED') throw error;
  }
  const ageOf = ({ modified }: EntryInfo): number => modified?.getTime() ?? 0;
  return found.sort((a, b) => ageOf(b) - ageOf(a)).map(({ key }) => key);
}

async function nearest(judging: Judging, keys: readonly string[]): Promise<Base | undefined> {
  const { store, signal } = judging;
  const alike = keys.filter((key) => parsedAlike(key, judging) !== undefined);
  const found = await Promise.all(
    alike.map(async (key) => {
      const details = await store.stat(key, { signal, quiet: true });
      return details === undefined ? undefined : judge(judging, details);
    }),
  );
  return found.reduce(nearer, undefined);
}

/** The first one where both are as near. */
function nearer(a: Base | undefined, b: Base | undefined): Base | undefined {
  return (b?.likeness ?? 0) > (a?.likeness ?? 0) ? b : a;
}

async function judge(
  { session, subject, wanted, others, check }: Judging,
  { key, metadata }: EntryDetails,
): Promise<Base | undefined> {
  const digest = digestIn(metadata, parseKey(key, session.config.prefix)?.hash ?? key);
  if (digest === undefined) return undefined;
  const about = { keyDigest: digest, recipe: subject.recipe.name, runtime: subject.runtime };
  const lineage = await readLineage(metadata, about, check);
  if (lineage === undefined || lineage.others !== others || lineage.steps >= MOST_STEPS) return undefined;
  if ((await lackedHere(needsIn(metadata), subject.project)) !== undefined) return undefined;
  const likely = likeness(wanted, lineage.sketch);
  return likely < LEAST_LIKENESS ? undefined : { key, digest, steps: lineage.steps, likeness: likely };
}
