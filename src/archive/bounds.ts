/**
 * Limits that no variable raises. Packing and unpacking have the same ones, so that what is saved can be
 * restored.
 */

/**
 * About 1 KiB is kept for each member until the end of the archive. This many of our members would hold 400
 * GB of tar.
 */
export const MAX_MEMBERS = 200_000;

/**
 * Bytes of the members' first names and of the index, which are kept until the end too. An ordinary member
 * needs about 200 bytes for both.
 */
export const MAX_INDEX_BYTES = 64 * 1024 * 1024;

/**
 * Characters in names of directories and links, which are kept until the end. 100,000 packages need a tenth
 * of this.
 */
export const MAX_NAME_BYTES = 64 * 1024 * 1024;

/**
 * Depth of directories. Ordinary trees have 50 levels at most. Deeper ones are slow to make, and slower to
 * remove.
 */
export const MAX_DEPTH = 500;

/** Bytes of tar below which even a large ratio does no harm. */
export const RATIO_FROM = 64 * 1024 * 1024;
