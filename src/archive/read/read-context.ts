import type { ByteReader } from './byte-reader.ts';
import type { Memory } from '../workers/buffer-pool.ts';
import type { Crew } from '../workers/crew.ts';
import type { Tally } from './tally.ts';
import type { UnpackSetup, UnpackReply } from '../workers/protocol.ts';

/** What the readers of our own and of foreign archives share in one run. */
export interface ReadContext {
  reader: ByteReader;
  memory: Memory;
  crew: Crew;
  tally: Tally;
  setup: UnpackSetup;
  /** Counts what a job has unpacked. @throws CacheError ARCHIVE_LIMIT */
  add: (reply: UnpackReply) => void;
}
