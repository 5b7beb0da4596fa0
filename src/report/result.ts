import type { BaseUse, Outcome, Work } from '../session/outcome.ts';
import { explanation } from './explanation.ts';
import { counted } from '../text/counted.ts';
import { formatSeconds } from './format.ts';
import { formatBytes } from '../text/format-bytes.ts';
import { printable } from './printable.ts';

/**
 * A recipe's outcome for people: one line, except for `key --explain`.
 * @returns undefined if a warning or an error reports it
 */
export function resultText(outcome: Outcome): string | undefined {
  if (outcome.type === 'explained') return explanation(outcome);
  const line = resultLine(outcome);
  return line === undefined ? undefined : printable(line);
}

function resultLine(outcome: Exclude<Outcome, { type: 'explained' }>): string | undefined {
  const { label } = outcome;
  switch (outcome.type) {
    case 'restored':
      return restoredLine(outcome);
    case 'fallback':
      return `${label} restored from an older entry as a base for the install: ${outcome.key} (${work(outcome)})`;
    case 'in-place':
      return `${label} already in place (${outcome.key})`;
    case 'miss':
      return `${label} not in the cache (${outcome.key})`;
    case 'nothing-needed':
      return `${label} not saved: the lockfile asks for none`;
    case 'nothing-installed':
      return `${label} not saved: nothing is installed in ${outcome.targets.join(', ')}${installsElsewhere(outcome)}`;
    case 'unverified':
      return `${label} restored, but not usable: ${outcome.reason}`;
    case 'saved':
      return `${label} saved to ${outcome.url} (${work(outcome)}${outcome.replaced ? '; replaced' : ''}${outcome.base === undefined ? '' : `; ${onBase(outcome.base)}`})`;
    case 'exists':
      return `${label} already cached at ${outcome.url}`;
    case 'postponed':
      return `${label} not saved yet: the run that this install is part of saves them`;
    case 'started':
      return `${label} being saved in the background (process ${outcome.pid})`;
    case 'ensured':
      // As `restore` says it: scripts look for this line in a container's log, whichever command it ran.
      if (outcome.by === 'cache') return restoredLine(outcome);
      return `${label} ready: ${ensured(outcome)} (${formatSeconds(outcome.seconds)})`;
    case 'key':
      return outcome.key;
    case 'off':
    case 'no-lockfile':
    case 'install-failed':
    case 'failed':
      return undefined;
  }
}

function installsElsewhere({ elsewhere }: { elsewhere?: string }): string {
  return elsewhere === undefined ? '' : `; installs go to ${elsewhere}`;
}

/**
 * After a restore of several recipes: which ones a script must still install, and which not. Undefined if all
 * had the same result.
 */
export function missedLine(outcomes: readonly Outcome[]): string | undefined {
  const isThere = ({ type }: Outcome): boolean => type === 'restored' || type === 'in-place';
  const missed = outcomes.filter((outcome) => !isThere(outcome)).map(({ recipe }) => recipe);
  const there = outcomes.filter(isThere).map(({ recipe }) => recipe);
  if (missed.length === 0 || there.length === 0) return undefined;
  return `Missed: ${missed.join(', ')}. In place: ${there.join(', ')}. "sandbox-cache ensure" installs only what is missing.`;
}

function restoredLine(
  outcome: { label: string; from: 's3' | 'local'; installSeconds: number } & Work,
): string {
  const saved = outcome.installSeconds - outcome.seconds;
  const gain = outcome.installSeconds > 0 && saved > 1 ? `; saved about ${formatSeconds(saved)}` : '';
  return `${outcome.label} restored from ${storeName(outcome.from)} cache (${work(outcome)}${gain})`;
}

function ensured(outcome: Extract<Outcome, { type: 'ensured'; by: 'receipt' | 'tree' | 'install' }>): string {
  if (outcome.by === 'receipt') return 'already in place';
  if (outcome.by === 'tree') {
    return {
      saved: 'already in place, and saved',
      exists: 'already in place',
      'not saved': 'already in place',
    }[outcome.saved];
  }
  if (outcome.base !== undefined) {
    const end = { saved: '; saved', exists: '; the cache has them', 'not saved': '' }[outcome.saved];
    return `${onBase(outcome.base)}${end}`;
  }
  return { saved: 'installed and saved', exists: 'installed; the cache has them', 'not saved': 'installed' }[
    outcome.saved
  ];
}

/** Never in the words of a hit: scripts count those. */
function onBase({ base, kept, packages, seconds }: BaseUse): string {
  return `${kept} of ${packages} packages taken from ${base}, the rest installed in ${formatSeconds(seconds)}`;
}

function work(done: Work): string {
  return `${formatBytes(done.storedBytes)}, ${counted(done.files, 'file')}, ${formatSeconds(done.seconds)}`;
}

function storeName(from: 's3' | 'local'): string {
  return from === 's3' ? 'S3' : 'local';
}
