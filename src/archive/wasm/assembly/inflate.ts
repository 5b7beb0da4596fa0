/**
 * Inflates a whole deflate stream (RFC 1951) of known length, in memory. Faster than zlib, which must be able
 * to stop after any byte: here input and output end in `SLACK` bytes that nobody minds, so one check an
 * iteration is enough. The table entries and the order of loads follow libdeflate (Eric Biggers, MIT
 * licence).
 */
import { PRECODE_ORDER, PRECODE_SYMBOLS } from './precode';
import { END, EXCEPTIONAL, LITERAL, SUBTABLE, buildTable } from './tables';

/** Bytes behind input and output that may be read and written. */
export const SLACK: u32 = 512;

/** Bits that index the main table; longer codewords go on in a subtable. */
const LITLEN_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 8;
const PRECODE_BITS: u32 = 7;
const LITLEN_MASK: usize = (1 << 11) - 1;
const DISTANCE_MASK: usize = (1 << 8) - 1;

/** Entries that a complete code of 288, 32 or 19 symbols can need, by zlib's `enough`. */
const litlenTable = memory.data(2342 * 4, 16);
const distanceTable = memory.data(402 * 4, 16);
const precodeTable = memory.data(128 * 4, 16);

const MAX_SYMBOLS = 288 + 32;
/** A run may go over the end by 137. */
const lengths = memory.data(MAX_SYMBOLS + 138, 16);
const precodeLengths = memory.data(19, 16);

/** Base, and number of extra bits, of what a symbol stands for: RFC 1951, 3.2.5. */
const litlenResults = memory.data(288 * 4, 16);
const distanceResults = memory.data(32 * 4, 16);
const precodeResults = memory.data(19 * 4, 16);
fillResults();

/** Where reading and writing are, between blocks. */
let next: usize = 0;
let end: usize = 0;
let written: usize = 0;
let start: usize = 0;
let limit: usize = 0;
/** Bits read ahead, the next one lowest; above `available` of them stand bits that will be read again. */
let buffer: u64 = 0;
let available: u32 = 0;

/**
 * @param output has room for `outputLength` and `SLACK` bytes
 * @returns how many bytes of the input the stream takes; -1 when it is not one of exactly `outputLength`
 *   bytes
 */
export function inflate(input: usize, inputLength: u32, output: usize, outputLength: u32): i32 {
  next = input;
  end = input + inputLength;
  start = written = output;
  limit = output + outputLength;
  buffer = 0;
  available = 0;
  for (let last = false; !last;) {
    refill();
    last = take(1) === 1;
    const type = take(2);
    const good = type === 0 ? stored() : type === 1 ? fixed() : type === 2 ? dynamic() : false;
    if (!good || next - (available >> 3) > end) return -1;
  }
  return written === limit ? i32(next - (available >> 3) - input) : -1;
}

/** At least 56 bits are available afterwards. */
function refill(): void {
  buffer |= load<u64>(next) << available;
  next += (63 - available) >> 3;
  available |= 56;
}

function take(bits: u32): u32 {
  const value = u32(buffer) & ((1 << bits) - 1);
  buffer >>= bits;
  available -= bits;
  return value;
}

function stored(): bool {
  next -= available >> 3;
  buffer = 0;
  available = 0;
  if (next + 4 > end) return false;
  const length = <u32>load<u16>(next);
  if (load<u16>(next, 2) !== <u16>~length) return false;
  next += 4;
  if (next + length > end || written + length > limit) return false;
  memory.copy(written, next, length);
  next += length;
  written += length;
  return true;
}

function fixed(): bool {
  memory.fill(lengths, 8, 288);
  memory.fill(lengths + 144, 9, 112);
  memory.fill(lengths + 256, 7, 24);
  memory.fill(lengths + 288, 5, 32);
  return symbols(288, 32);
}

function dynamic(): bool {
  const litlenCount = take(5) + 257;
  const distanceCount = take(5) + 1;
  const precodeCount = take(4) + 4;
  memory.fill(precodeLengths, 0, PRECODE_SYMBOLS);
  refill();
  for (let i: u32 = 0; i < precodeCount; i++) {
    if (i === 16) refill();
    store<u8>(precodeLengths + <usize>load<u8>(PRECODE_ORDER + i), <u8>take(3));
  }
  if (litlenCount > 286) return false;
  if (!buildTable(precodeTable, precodeLengths, PRECODE_SYMBOLS, precodeResults, PRECODE_BITS)) return false;

  const count = litlenCount + distanceCount;
  for (let i: u32 = 0; i < count;) {
    refill();
    if (next > end + 8) return false;
    const entry = load<u32>(precodeTable + (((<usize>buffer) & ((1 << PRECODE_BITS) - 1)) << 2));
    take(entry & 63);
    const symbol = entry >> 16;
    if (symbol < 16) {
      store<u8>(lengths + i++, <u8>symbol);
      continue;
    }
    if (symbol === 16 && i === 0) return false;
    const value: u8 = symbol === 16 ? load<u8>(lengths + i - 1) : 0;
    const run = symbol === 16 ? take(2) + 3 : symbol === 17 ? take(3) + 3 : take(7) + 11;
    memory.fill(lengths + i, value, run);
    i += run;
    if (i > count) return false;
  }
  return symbols(litlenCount, distanceCount);
}

/** Builds the tables of a block and decodes its literals and matches. */
function symbols(litlenCount: u32, distanceCount: u32): bool {
  // A block without its end symbol never ends.
  if (load<u8>(lengths + 256) === 0) return false;
  return (
    buildTable(litlenTable, lengths, litlenCount, litlenResults, LITLEN_BITS) &&
    buildTable(distanceTable, lengths + litlenCount, distanceCount, distanceResults, DISTANCE_BITS) &&
    decode()
  );
}

function decode(): bool {
  let input = next;
  let output = written;
  let bits = buffer;
  let count = available;
  const inputEnd = end;
  const outputEnd = limit;
  const outputStart = start;

  bits |= load<u64>(input) << count;
  input += ((count & 63) ^ 63) >> 3;
  count |= 56;
  let entry = load<u32>(litlenTable + (((<usize>bits) & LITLEN_MASK) << 2));
  while (input <= inputEnd + 8 && output <= outputEnd) {
    let saved = bits;
    bits >>= entry;
    count -= entry;
    if (entry & LITERAL) {
      store<u8>(output++, <u8>(entry >> 16));
      entry = load<u32>(litlenTable + (((<usize>bits) & LITLEN_MASK) << 2));
      saved = bits;
      bits >>= entry;
      count -= entry;
      if (entry & LITERAL) {
        store<u8>(output++, <u8>(entry >> 16));
        entry = load<u32>(litlenTable + (((<usize>bits) & LITLEN_MASK) << 2));
        saved = bits;
        bits >>= entry;
        count -= entry;
        if (entry & LITERAL) {
          store<u8>(output++, <u8>(entry >> 16));
          entry = load<u32>(litlenTable + (((<usize>bits) & LITLEN_MASK) << 2));
          bits |= load<u64>(input) << count;
          input += ((count & 63) ^ 63) >> 3;
          count |= 56;
          continue;
        }
      }
    }
    if (entry & EXCEPTIONAL) {
      if (entry & SUBTABLE) {
        const index = (<usize>bits) & ((1 << ((entry >> 8) & 15)) - 1);
        entry = load<u32>(litlenTable + ((<usize>(entry >> 16) + index) << 2));
        saved = bits;
        bits >>= entry;
        count -= entry;
        if (entry & LITERAL) {
          store<u8>(output++, <u8>(entry >> 16));
          entry = load<u32>(litlenTable + (((<usize>bits) & LITLEN_MASK) << 2));
          bits |= load<u64>(input) << count;
          input += ((count & 63) ^ 63) >> 3;
          count |= 56;
          continue;
        }
      }
      if (entry & EXCEPTIONAL) {
        next = input;
        written = output;
        buffer = bits;
        available = count & 63;
        return (entry & END) !== 0;
      }
    }
    const length = (entry >> 16) + (((<u32>saved) & ((1 << (entry & 31)) - 1)) >> ((entry >> 8) & 15));

    // A distance takes up to 28 bits and the next entry is looked up with 11, what came before took up to 42.
    // Asking whether that is too much costs more than to refill always.
    entry = load<u32>(distanceTable + (((<usize>bits) & DISTANCE_MASK) << 2));
    bits |= load<u64>(input) << count;
    input += ((count & 63) ^ 63) >> 3;
    count |= 56;
    if (entry & EXCEPTIONAL) {
      if (!(entry & SUBTABLE)) return false;
      bits >>= DISTANCE_BITS;
      count -= DISTANCE_BITS;
      const index = (<usize>bits) & ((1 << ((entry >> 8) & 15)) - 1);
      entry = load<u32>(distanceTable + ((<usize>(entry >> 16) + index) << 2));
      if (entry & EXCEPTIONAL) return false;
    }
    const distance = (entry >> 16) + (((<u32>bits) & ((1 << (entry & 31)) - 1)) >> ((entry >> 8) & 15));
    bits >>= entry;
    count -= entry;
    if (<usize>distance > output - outputStart) return false;

    let from = output - distance;
    const to = output;
    output += length;
    entry = load<u32>(litlenTable + (((<usize>bits) & LITLEN_MASK) << 2));
    bits |= load<u64>(input) << count;
    input += ((count & 63) ^ 63) >> 3;
    count |= 56;
    if (distance >= 16) {
      // Most are shorter than 32, and to find out which are shorter than 16 takes longer than to copy them.
      v128.store(to, v128.load(from));
      v128.store(to, v128.load(from, 16), 16);
      for (let at: usize = 32; at < length; at += 16) v128.store(to + at, v128.load(from + at));
    } else if (distance === 1) {
      const run = v128.splat<u8>(load<u8>(from));
      for (let at: usize = 0; at < length; at += 16) v128.store(to + at, run);
    } else {
      // Bytes that are still to come are stored as well, and then again by the next step.
      const step: usize = distance < 8 ? <usize>distance : 8;
      for (let at: usize = 0; at < length; at += step) store<u64>(to + at, load<u64>(from + at));
    }
  }
  return false;
}

function fillResults(): void {
  for (let symbol: u32 = 0; symbol < 256; symbol++)
    store<u32>(litlenResults + (symbol << 2), (symbol << 16) | LITERAL);
  store<u32>(litlenResults + (256 << 2), EXCEPTIONAL | END);
  // 257 to 264: lengths 3 to 10 as they are; then four symbols for each number of extra bits, 285 being the
  // 258 that 284 would end in.
  let base: u32 = 3;
  for (let symbol: u32 = 257; symbol < 285; symbol++) {
    const extra: u32 = symbol < 265 ? 0 : (symbol - 261) >> 2;
    store<u32>(litlenResults + (symbol << 2), (base << 16) | extra);
    base += 1 << extra;
  }
  store<u32>(litlenResults + (285 << 2), 258 << 16);
  for (let symbol: u32 = 286; symbol < 288; symbol++) store<u32>(litlenResults + (symbol << 2), EXCEPTIONAL);

  base = 1;
  for (let symbol: u32 = 0; symbol < 30; symbol++) {
    const extra: u32 = symbol < 4 ? 0 : (symbol - 2) >> 1;
    store<u32>(distanceResults + (symbol << 2), (base << 16) | extra);
    base += 1 << extra;
  }
  for (let symbol: u32 = 30; symbol < 32; symbol++) store<u32>(distanceResults + (symbol << 2), EXCEPTIONAL);
  for (let symbol: u32 = 0; symbol < PRECODE_SYMBOLS; symbol++)
    store<u32>(precodeResults + (symbol << 2), symbol << 16);
}
