/**
 * A sketch of a set of texts: 128 numbers, from which the share that two sets have in common can be estimated
 * (MinHash with one permutation: Li, Owen, Zhang, 2012). So an entry's metadata tells how near its packages
 * are to others, to 4 % or so, and nothing of the archive has to be read.
 */
import { createHash } from 'node:crypto';

const SLOTS = 128;
/** The value of a slot that no text falls into. */
const EMPTY = 0xffff;

export type Sketch = Uint16Array;

export function sketchOf(texts: Iterable<string>): Sketch {
  const sketch = new Uint16Array(SLOTS).fill(EMPTY);
  for (const text of texts) {
    const digest = createHash('sha256').update(text).digest();
    const slot = digest.readUInt8(0) % SLOTS;
    sketch[slot] = Math.min(sketch[slot]!, digest.readUInt16LE(1) % EMPTY);
  }
  return sketch;
}

/** Estimates how much of the union of two sets is in both, 0 to 1. */
export function likeness(a: Sketch, b: Sketch): number {
  let used = 0;
  let equal = 0;
  for (let slot = 0; slot < SLOTS; slot++) {
    if (a[slot] === EMPTY && b[slot] === EMPTY) continue;
    used++;
    if (a[slot] === b[slot]) equal++;
  }
  return used === 0 ? 0 : equal / used;
}

/** Base64 without padding, 342 characters. */
export function sketchText(sketch: Sketch): string {
  const bytes = Buffer.alloc(SLOTS * 2);
  sketch.forEach((value, slot) => bytes.writeUInt16LE(value, slot * 2));
  return bytes.toString('base64url');
}

/** @returns undefined for a text that is no sketch */
export function parseSketch(text: string): Sketch | undefined {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length !== SLOTS * 2) return undefined;
  return Uint16Array.from({ length: SLOTS }, (_, slot) => bytes.readUInt16LE(slot * 2));
}
