/**
 * Tells whether deflating would be a waste: compressed images, fonts, archives and random bytes come out no smaller. Three samples are deflated at the fastest level; when they do not shrink, nothing around them does.
 */
import { deflateRawSync } from 'node:zlib';

const SAMPLE = 16 * 1024;

export function isIncompressible(bytes: Uint8Array): boolean {
  if (bytes.length < 8 * SAMPLE) return false;
  const last = bytes.length - SAMPLE;
  return [last >>> 2, last >>> 1, last - (last >>> 2)].every((at) => {
    const sample = bytes.subarray(at, at + SAMPLE);
    return deflateRawSync(sample, { level: 1 }).length > 0.98 * SAMPLE;
  });
}
