/**
 * Everything the core may announce while it works. Reporters (`src/report`) are functions of these;
 * the core never imports one.
 */
export type CacheEvent =
  /** A step worth a `[cache]` line when verbose, in words: nothing but the log depends on it. */
  | { type: 'step'; text: string }
  /** Something the user should know and can act on; never a reason to stop. */
  | { type: 'warning'; message: string; hint?: string }
  /**
   * Work that takes a while has moved on. Bytes of a download are of the archive, as stored; those of an
   * upload are of the files that are packed, since nobody knows beforehand what they come to. `total` is 0
   * while unknown.
   */
  | {
      type: 'progress';
      phase: 'download' | 'upload';
      recipe: string;
      bytes: number;
      total: number;
      files: number;
    }
  | { type: 'progress-end'; phase: 'download' | 'upload'; recipe: string };

export type Emit = (event: CacheEvent) => void;
