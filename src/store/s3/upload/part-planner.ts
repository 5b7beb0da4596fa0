/**
 * Cuts a body into parts of which some are copied from another object. S3 takes no part below 5 MiB but the
 * last. So a stretch that is there already is copied once it is long enough, and what stands alone before it
 * is filled up with its first bytes.
 */

import { type Chunk, type HeldChunk, isHeld } from '../../../async/chunks.ts';

/** A part is sent, or copied: bytes `start` to `end`, one past the last, of the other object. */
export type PlannedPart = { type: 'send'; body: Buffer } | { type: 'copy'; start: number; end: number };

export interface PartSizes {
  /** The least that a part but the last may have. */
  least: number;
  /** What is sent at once. */
  send: number;
  /** The most that is copied at once. */
  copy: number;
}

const MIB = 1024 * 1024;
export const PART_SIZES: PartSizes = { least: 5 * MIB, send: 6 * MIB, copy: 32 * MIB };

export interface PartPlanner {
  /** Not to be called before the last call has returned. @throws what reading a chunk throws */
  add(chunk: Chunk): Promise<PlannedPart[]>;
  /** The parts that are left. */
  end(): Promise<PlannedPart[]>;
}

export function createPartPlanner(sizes: PartSizes): PartPlanner {
  /** To be sent. */
  let pending: Uint8Array[] = [];
  let pendingLength = 0;
  /** A stretch of the other object, right behind what is pending. */
  let stretch: Stretch | undefined;

  function flush(): PlannedPart {
    const body = Buffer.concat(pending, pendingLength);
    pending = [];
    pendingLength = 0;
    return { type: 'send', body };
  }

  function send(chunks: readonly Uint8Array[]): PlannedPart[] {
    const parts: PlannedPart[] = [];
    for (const chunk of chunks) {
      pending.push(chunk);
      pendingLength += chunk.length;
      if (pendingLength >= sizes.send) parts.push(flush());
    }
    return parts;
  }

  async function endStretch(): Promise<PlannedPart[]> {
    if (stretch === undefined) return [];
    const { start, end, held } = stretch;
    stretch = undefined;
    if (held === undefined) return [{ type: 'copy', start, end }];
    return send(await Promise.all(held.map((chunk) => chunk.read())));
  }

  /** What is to be sent before the stretch, once the stretch is long enough to be copied. */
  async function secure(found: Stretch): Promise<PlannedPart[]> {
    const { start, end, held } = found;
    const missing = pendingLength === 0 ? 0 : Math.max(0, sizes.least - pendingLength);
    if (held === undefined || end - start < missing + sizes.least) return [];
    const parts: PlannedPart[] = [];
    if (pendingLength > 0) {
      pending.push(await beginningOf(held, missing));
      pendingLength += missing;
      parts.push(flush());
    }
    found.start += missing;
    found.held = undefined;
    return parts;
  }

  return {
    async add(chunk) {
      const parts: PlannedPart[] = [];
      const offset = isHeld(chunk) ? chunk.offset : undefined;
      if (offset === undefined || offset !== stretch?.end) parts.push(...(await endStretch()));
      if (!isHeld(chunk)) return [...parts, ...send([chunk])];
      stretch ??= { start: chunk.offset, end: chunk.offset, held: [] };
      stretch.end += chunk.length;
      stretch.held?.push(chunk);
      parts.push(...(await secure(stretch)));
      if (stretch.held === undefined && stretch.end - stretch.start >= sizes.copy)
        parts.push(...(await endStretch()));
      return parts;
    },
    async end() {
      const parts = await endStretch();
      return pendingLength === 0 ? parts : [...parts, flush()];
    },
  };
}

interface Stretch {
  start: number;
  end: number;
  /** Its chunks, as long as they may have to be sent. Undefined once it is certain to be copied. */
  held: HeldChunk[] | undefined;
}

/** @param length not more than they have */
async function beginningOf(chunks: readonly HeldChunk[], length: number): Promise<Uint8Array> {
  const read: Uint8Array[] = [];
  let missing = length;
  for (const chunk of chunks) {
    if (missing <= 0) break;
    read.push(await chunk.read());
    missing -= chunk.length;
  }
  return Buffer.concat(read).subarray(0, length);
}
