/**
 * Cuts a body into parts of which some are copied from another object. S3 takes no part below 5 MiB but the
 * last. So a stretch that is there already is copied once it is long enough, and what stands alone before it
 * is filled up with its first bytes.
 */

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
  /** @param offset where the chunk lies in the other object, if it does */
  add(chunk: Uint8Array, offset: number | undefined): PlannedPart[];
  /** The parts that are left. */
  end(): PlannedPart[];
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

  /** @param held the stretch so far, as long as it may still have to be sent */
  function endStretch(): PlannedPart[] {
    if (stretch === undefined) return [];
    const { start, end, held } = stretch;
    stretch = undefined;
    return held === undefined ? [{ type: 'copy', start, end }] : send(held);
  }

  /** What is to be sent before the stretch, once the stretch is long enough to be copied. */
  function secure(found: Stretch): PlannedPart[] {
    const { start, end, held } = found;
    const missing = pendingLength === 0 ? 0 : Math.max(0, sizes.least - pendingLength);
    if (held === undefined || end - start < missing + sizes.least) return [];
    const parts: PlannedPart[] = [];
    if (pendingLength > 0) {
      pending.push(Buffer.concat(held).subarray(0, missing));
      pendingLength += missing;
      parts.push(flush());
    }
    found.start += missing;
    found.held = undefined;
    return parts;
  }

  return {
    add(chunk, offset) {
      const parts: PlannedPart[] = [];
      if (offset === undefined || offset !== stretch?.end) parts.push(...endStretch());
      if (offset === undefined) return [...parts, ...send([chunk])];
      stretch ??= { start: offset, end: offset, held: [] };
      stretch.end += chunk.length;
      stretch.held?.push(chunk);
      parts.push(...secure(stretch));
      if (stretch.held === undefined && stretch.end - stretch.start >= sizes.copy)
        parts.push(...endStretch());
      return parts;
    },
    end() {
      const parts = endStretch();
      return pendingLength === 0 ? parts : [...parts, flush()];
    },
  };
}

interface Stretch {
  start: number;
  end: number;
  /** Its bytes, as long as they may have to be sent. Undefined once it is certain to be copied. */
  held: Uint8Array[] | undefined;
}
