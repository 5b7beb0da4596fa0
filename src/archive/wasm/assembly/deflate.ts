/**
 * Deflates a whole buffer (RFC 1951) in one call, in blocks of fixed size. Each takes the longest of a few
 * earlier places that go on like the current one; where statistics change is not looked for, since that costs
 * more time than it saves bytes: see docs/archive-format.md.
 */
import { addLiteral, addMatch, beginBlock, beginStream, writeBlock } from './block';
import { beginMatches, findMatch, jumpTo, matchDistance, MIN_MATCH, skipMatch } from './matches';

/** Bytes of a block; the last one takes up to half as many more. */
const BLOCK: usize = 100_000;
const MAX_MATCH: u32 = 258;
/** After so many literals in a row, as a power of two, fewer places are looked at. */
const PATIENCE_BITS: usize = 9;

/** Where the literals begin that end a block. */
let lastLiterals: usize = 0;

/**
 * @param input is followed by `SLACK` bytes that may be read
 * @param output has room for all of it in stored blocks, and `SLACK` bytes
 * @param depth candidates that are looked at for a match
 * @param nice length of a match with which the search is content
 * @param lazy looks whether the next byte begins a longer match, before one is taken
 * @returns how long the stream is
 */
export function deflate(
  input: usize,
  inputLength: u32,
  output: usize,
  depth: u32,
  nice: u32,
  lazy: bool,
): u32 {
  const end = input + inputLength;
  let at = input;
  let written = output;
  beginMatches(input);
  beginStream();
  do {
    const start = at;
    const stop = end - start < BLOCK + BLOCK / 2 ? end : start + BLOCK;
    beginBlock();
    at = parse(start, stop, end, depth, nice, lazy);
    written = writeBlock(start, at, <u32>(at - lastLiterals), written, at === end);
  } while (at < end);
  return <u32>(written - output);
}

/** Collects a block that ends at `stop` or a little behind it. @returns where it ends */
function parse(start: usize, stop: usize, end: usize, depth: u32, nice: u32, lazy: bool): usize {
  let place = start;
  let literals = start;
  /** A match that begins one byte before `place` and gives way to a longer one; none: 0. */
  let held: u32 = 0;
  let heldDistance: u32 = 0;
  while (place < stop) {
    const left = <u32>(end - place);
    const maxLength = left < MAX_MATCH ? left : MAX_MATCH;
    let length = findMatch(place, maxLength, nice < maxLength ? nice : maxLength, depth);
    let distance = matchDistance;
    let entered = place + 1;
    if (held > 0 && length <= held) {
      length = held;
      distance = heldDistance;
      place--;
    } else {
      if (held > 0) addLiteral(load<u8>(place - 1));
      if (length < MIN_MATCH) {
        place = passLiterals(place, literals, stop);
        continue;
      }
      if (lazy && length < nice && entered < stop) {
        held = length;
        heldDistance = distance;
        place++;
        continue;
      }
    }
    held = 0;
    addMatch(<u32>(place - literals), length, distance);
    place += length;
    if (place > entered) skipMatch(entered, end, <u32>(place - entered));
    literals = place;
  }
  lastLiterals = literals;
  return place;
}

/**
 * Where nothing has been found for long, fewer and fewer places are looked at: noise costs little.
 * @returns the next one
 */
function passLiterals(place: usize, run: usize, stop: usize): usize {
  addLiteral(load<u8>(place++));
  const idle = (place - run) >> PATIENCE_BITS;
  if (idle === 0) return place;
  for (const next = min(place + idle, stop); place < next; place++) addLiteral(load<u8>(place));
  jumpTo(place);
  return place;
}
