/**
 * Deflates a whole buffer (RFC 1951) in one call, in blocks of fixed size. It looks at a few earlier
 * occurrences and takes the longest match. It does not look for places where the statistics change, because
 * that costs more time than the saved bytes are worth: see docs/archive-format.md.
 */
import { addLiteral, addMatch, beginBlock, beginStream, writeBlock } from './block';
import { beginMatches, findMatch, jumpTo, matchDistance, MIN_MATCH, skipMatch } from './matches';

/** Bytes of a block. The last block may have up to half as many more. */
const BLOCK: usize = 100_000;
const MAX_MATCH: u32 = 258;
/** After this many literals in a row, as a power of two, fewer positions are tried. */
const PATIENCE_BITS: usize = 9;

/** Where the literals at the end of a block begin. */
let lastLiterals: usize = 0;

/**
 * @param input is followed by `SLACK` bytes that may be read
 * @param output has room for the input in stored blocks, and for `SLACK` bytes
 * @param depth number of candidates for each match
 * @param nice length of a match that ends the search
 * @param lazy whether to check if the next byte begins a longer match, before one is taken
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

/** Collects a block that ends at `stop` or shortly after. @returns where it ends */
function parse(start: usize, stop: usize, end: usize, depth: u32, nice: u32, lazy: bool): usize {
  let place = start;
  let literals = start;
  /**
   * The length of a match that begins one byte before `place`, and is dropped for a longer one; 0 for none.
   */
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
 * If nothing has been found for long, fewer and fewer positions are tried, so that noise costs little.
 * @returns the next position
 */
function passLiterals(place: usize, run: usize, stop: usize): usize {
  addLiteral(load<u8>(place++));
  const idle = (place - run) >> PATIENCE_BITS;
  if (idle === 0) return place;
  for (const next = min(place + idle, stop); place < next; place++) addLiteral(load<u8>(place));
  jumpTo(place);
  return place;
}
