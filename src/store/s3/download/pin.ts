/**
 * The object that a download reads, as the ETag that its next request asks for. A service that copies an
 * object onto itself gives it another ETag, and refuses the old one from then on.
 */
import { isSameObject } from '../../identity.ts';
import type { EntryInfo } from '../../store.ts';
import type { Connection } from '../connection/connection.ts';
import { lookUp } from '../objects/objects.ts';

/** How often one download follows it. Each time is a whole copy of the object, so this is never reached. */
const MAX_COPIES = 100;

export class Pin {
  etag: string;
  readonly #connection: Connection;
  readonly #info: EntryInfo;
  readonly #signal: AbortSignal;
  #copies = 0;
  /** The look that is under way: several ranges are refused at once. */
  #looking: Promise<string | undefined> | undefined;

  constructor(connection: Connection, info: EntryInfo, signal: AbortSignal) {
    this.etag = info.etag;
    this.#connection = connection;
    this.#info = info;
    this.#signal = signal;
  }

  /**
   * Whether there is another ETag to ask for than the one that was refused.
   * @throws what the SDK threw, or the signal's reason
   */
  async hasNewEtag(refused: string): Promise<boolean> {
    if (this.etag !== refused) return true;
    // Only the write id can tell that it is the same object.
    if (this.#info.writeId === undefined || this.#copies >= MAX_COPIES) return false;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    const found = await this.#looking;
    if (found === undefined || found === refused) return this.etag !== refused;
    if (this.etag === refused) {
      this.etag = found;
      this.#copies += 1;
    }
    return true;
  }

  /** @returns the ETag of now, if it is still the same object */
  async #look(): Promise<string | undefined> {
    const { key, size, writeId } = this.#info;
    const present = (await lookUp(this.#connection, key, this.#signal))?.info;
    if (present?.writeId === undefined || present.size !== size) return undefined;
    return isSameObject(present, { etag: '', writeId }) ? present.etag : undefined;
  }
}
