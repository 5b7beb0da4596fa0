/**
 * Bounds that no variable raises, for both ways: packing stops where unpacking would, so that what is saved
 * can be restored.
 */

/**
 * What is known of a member is kept until the end of the archive: some 1 KiB each. Ours would hold 400 GB of
 * tar.
 */
export const MAX_MEMBERS = 200_000;

/**
 * Bytes of the members' first names and of the index, kept until the end too. An honest member needs some 200
 * of both together.
 */
export const MAX_INDEX_BYTES = 64 * 1024 * 1024;

/**
 * Characters of names of directories and links: they are kept until the end. 100,000 packages have a tenth of
 * it.
 */
export const MAX_NAME_BYTES = 64 * 1024 * 1024;

/**
 * Directories in each other. Honest trees have some 50 at most. Deeper ones are slow to make, and slower to
 * remove.
 */
export const MAX_DEPTH = 500;

/** Bytes of tar below which even a large ratio does no harm. */
export const RATIO_FROM = 64 * 1024 * 1024;
