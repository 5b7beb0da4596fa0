import type { CacheError } from '../errors.ts';
import type { KeyIngredients } from '../key.ts';
import type { Blame } from '../recipes/support/recipe.ts';
import type { StoredEntry } from './stored-entries.ts';

/**
 * How one recipe fared in one command. `report/` turns it into a line or JSON, `program/exit-code.ts` into an
 * exit code.
 */
export type Outcome = About & OutcomeDetail;

export interface About {
  recipe: string;
  label: string;
  /** Nobody has named it: it was found by its lockfile. @default false */
  isDetected?: boolean;
}

export type OutcomeDetail =
  /** The entry was downloaded, put in place and verified. */
  | ({ type: 'restored'; from: 's3' | 'local'; installSeconds: number } & Entry & Work)
  /** `--fallback`: an older entry is in place as a base for the install. */
  | ({ type: 'fallback'; from: 's3' | 'local'; wanted: string } & Entry & Work)
  /** The receipt says that this very entry is in place. */
  | { type: 'in-place'; key: string }
  | ({ type: 'miss' } & Entry)
  /** No bucket and no local directory are set, or the store must not be written. */
  | { type: 'off'; reason: string }
  | { type: 'no-lockfile'; lockfiles: readonly string[] }
  /** The lockfile asks for nothing. */
  | { type: 'nothing-needed' }
  /** `elsewhere`: where the package manager installs in place of the targets. */
  | { type: 'nothing-installed'; targets: readonly string[]; elsewhere?: string }
  /**
   * Restored, but verification failed. An entry that is to blame is noted: the next save here replaces it.
   */
  | ({ type: 'unverified'; reason: string; blame: Blame } & Entry)
  | ({ type: 'saved'; replaced: boolean; base?: BaseUse } & Entry & Work)
  | ({ type: 'exists' } & Entry)
  /** `save` in a program that `ensure` or `warm` has started to install: they save when it has ended. */
  | { type: 'postponed' }
  /** `save --background`: another process saves. */
  | { type: 'started'; pid: number }
  /** `ensure`: present and verified; `by` says how. */
  | ({ type: 'ensured'; by: 'cache'; saved: 'exists'; from: 's3' | 'local'; installSeconds: number } & Entry &
      Work)
  | ({
      type: 'ensured';
      by: 'receipt' | 'tree' | 'install';
      seconds: number;
      saved: 'saved' | 'exists' | 'not saved';
      base?: BaseUse;
    } & Partial<Entry>)
  | { type: 'key'; key: string }
  | {
      type: 'explained';
      key: string;
      ingredients: KeyIngredients;
      digest: string;
      runtime: string;
      standing: Standing;
    }
  /** `ensure`, `warm`: the installer ended with this status. */
  | { type: 'install-failed'; status: number; command: string }
  | { type: 'failed'; error: CacheError };

/** What the store has for a key: the entry itself, or the one that comes nearest, with what differs. */
export type Standing =
  | { type: 'stored'; entry: StoredEntry }
  | { type: 'missing'; nearest?: StoredEntry; differs: string[] }
  | { type: 'unknown'; reason: string };

/** The older entry that an install began with. */
export interface BaseUse {
  /** Its key. */
  base: string;
  /** How many packages were kept of it, and how many there are now. */
  kept: number;
  packages: number;
  /** What the install on top of it took. */
  seconds: number;
}

export interface Entry {
  key: string;
  url: string;
}

export interface Work {
  /** Bytes as stored. */
  storedBytes: number;
  /** Bytes of tar. */
  bytes: number;
  /** Tree entries. */
  files: number;
  /** Wall seconds of the whole operation. */
  seconds: number;
}
