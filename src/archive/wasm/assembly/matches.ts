/**
 * Finds earlier occurrences of the bytes at a position: a hash of four bytes leads to a chain of the
 * positions that share it, newest first. Positions are 16-bit, relative to a base that moves on with the
 * window: half the memory of 32-bit ones, so more of it stays in the caches.
 */
const WINDOW: i32 = 32_768;
const HASH_BITS: u32 = 16;

/** Heads of the chains and their links, one after the other: they are moved on together. */
const heads = memory.data(((1 << 16) + 32_768) * 2, 64);
const links = heads + (1 << 16) * 2;
const TABLES_END = links + WINDOW * 2;
/** Farther back than any window reaches. */
const NOWHERE: i16 = -32_768;

/** Matches of three bytes save next to nothing. */
export const MIN_MATCH: u32 = 4;
/** Of the match found last. */
export let matchDistance: u32 = 0;
let base: usize = 0;
/** Where the chain of the next position begins, computed one step ahead. */
let nextHead: usize = 0;

/** At least four bytes that may be read follow the end of the input. */
export function beginMatches(input: usize): void {
  const nowhere = i16x8.splat(NOWHERE);
  for (let at = heads; at < TABLES_END; at += 16) v128.store(at, nowhere);
  base = input;
  nextHead = headOf(input);
}

/**
 * Looks for a match, and enters the position.
 * @returns its length, below `MIN_MATCH` when there is none; `matchDistance` goes with it
 */
export function findMatch(at: usize, maxLength: u32, nice: u32, depth: u32): u32 {
  if (maxLength < MIN_MATCH + 1) return 0;
  let position = <i32>(at - base);
  if (position === WINDOW) {
    moveOn();
    position = 0;
  }
  const origin = base;
  const cutoff = position - WINDOW;
  const head = nextHead;
  let node = <i32>load<i16>(head);
  store<i16>(head, <i16>position);
  store<i16>(links + ((<usize>position) << 1), <i16>node);
  nextHead = headOf(at + 1);
  if (node <= cutoff) return 0;

  const four = load<u32>(at);
  let best = at;
  let length = MIN_MATCH - 1;
  do {
    // The byte that makes it longer than the best so far is the one most likely to differ.
    const candidate = origin + node;
    if (load<u32>(candidate + length - 3) === load<u32>(at + length - 3) && load<u32>(candidate) === four) {
      const found = extend(at, candidate, maxLength);
      if (found > length) {
        length = found;
        best = candidate;
        if (length >= nice) break;
      }
    }
    node = <i32>load<i16>(links + ((<usize>(node & (WINDOW - 1))) << 1));
  } while (node > cutoff && --depth > 0);
  matchDistance = <u32>(at - best);
  return length;
}

/** Enters `count` positions from `at` on, which a match covers. */
export function skipMatch(at: usize, end: usize, count: u32): void {
  // So close to the end nothing is looked for any more.
  if (at + count + MIN_MATCH + 1 > end) return;
  let position = <i32>(at - base);
  let head = nextHead;
  do {
    if (position === WINDOW) {
      moveOn();
      position = 0;
    }
    store<i16>(links + ((<usize>position) << 1), load<i16>(head));
    store<i16>(head, <i16>position);
    head = headOf(++at);
    position++;
  } while (--count > 0);
  nextHead = head;
}

/** Goes on at `at`; the positions before it that were not entered will not be found. */
export function jumpTo(at: usize): void {
  while (<i32>(at - base) > WINDOW) moveOn();
  nextHead = headOf(at);
}

function headOf(at: usize): usize {
  return heads + (((load<u32>(at) * 0x1e35_a7bd) >> (32 - HASH_BITS)) << 1);
}

/** How far two places, that have four bytes in common, go on alike. */
function extend(at: usize, candidate: usize, maxLength: u32): u32 {
  for (let length: u32 = 4; length < maxLength; length += 8) {
    const difference = load<u64>(at + length) ^ load<u64>(candidate + length);
    if (difference === 0) continue;
    length += <u32>(ctz(difference) >> 3);
    return length < maxLength ? length : maxLength;
  }
  return maxLength;
}

/** Positions become relative to the next window; those that it does not reach become `NOWHERE`. */
function moveOn(): void {
  const window = i16x8.splat(NOWHERE);
  for (let at = heads; at < TABLES_END; at += 16) v128.store(at, i16x8.add_sat_s(v128.load(at), window));
  base += WINDOW;
}
