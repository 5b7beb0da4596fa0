/**
 * One block: collects its literals and matches, then writes it with the codes that suit it, or as it is where
 * they do not shrink it (RFC 1951, 3.2.4 and 3.2.7; the fixed codes of 3.2.6 are not worth their while in
 * buffers of this size).
 */
import { makeCode } from './huffman';
import { PRECODE_ORDER, PRECODE_SYMBOLS } from './precode';

const END_OF_BLOCK: usize = 256;
const LITLEN_SYMBOLS: u32 = 286;
const DISTANCE_SYMBOLS: u32 = 30;
/** The longest codeword for a literal: four of them fit into the bits that are written at once. */
const MAX_LITLEN_BITS: u32 = 14;
const MAX_STORED: usize = 65_535;

/**
 * Sequences: a `u32` of literals before the match, a `u16` of its length, 0 for none, a `u16` of its distance
 * less one. As many as matches of four bytes fit into a block of 150,000, and the literals at its end.
 */
const sequences = memory.data((150_000 / 4 + 1) * 8, 16);

const litlenFrequencies = memory.data(286 * 4, 16);
const distanceFrequencies = memory.data(30 * 4, 16);
const precodeFrequencies = memory.data(19 * 4, 16);
/** Of literals and lengths, then of distances as they are put into the header. */
const lengths = memory.data(286 + 30, 16);
const distanceLengths = memory.data(30, 16);
const precodeLengths = memory.data(19, 16);
const litlenCodewords = memory.data(286 * 2, 16);
const distanceCodewords = memory.data(30 * 2, 16);
const precodeCodewords = memory.data(19 * 2, 16);
/** What the header says of the lengths: symbols of the precode with their extra bits above them. */
const items = memory.data((286 + 30) * 2, 16);
/** Codewords of whole match lengths, extra bits included, and how many bits those have. */
const matchCodewords = memory.data(259 * 4, 16);
const matchBits = memory.data(259, 16);

/** RFC 1951, 3.2.5, turned around: the symbol of a match length, less 257; and its base and extra bits. */
const lengthSymbols = memory.data(259, 16);
const lengthBases = memory.data(29 * 2, 16);
const lengthExtraBits = memory.data(29, 16);
fillLengthSymbols();

/** The next one. */
let sequence: usize = 0;
/** Where writing is, and bits that are still to be written, the next one lowest. */
let output: usize = 0;
let buffer: u64 = 0;
let pending: u64 = 0;

export function beginStream(): void {
  buffer = 0;
  pending = 0;
}

export function beginBlock(): void {
  sequence = sequences;
  memory.fill(litlenFrequencies, 0, LITLEN_SYMBOLS << 2);
  memory.fill(distanceFrequencies, 0, DISTANCE_SYMBOLS << 2);
}

/** Literals are only counted: they are read again when the block is written. */
export function addLiteral(literal: u8): void {
  count(litlenFrequencies, literal);
}

/** @param literals since the match before */
export function addMatch(literals: u32, length: u32, distance: u32): void {
  count(litlenFrequencies, 257 + <usize>load<u8>(lengthSymbols + length));
  count(distanceFrequencies, distanceSymbol(distance - 1));
  store<u32>(sequence, literals);
  store<u16>(sequence, <u16>length, 4);
  store<u16>(sequence, <u16>(distance - 1), 6);
  sequence += 8;
}

/**
 * Writes the block that was collected from `start` to `end`.
 * @param literals since its last match
 * @returns where the output ends; fewer than 8 bits may still be pending, unless it was the last block
 */
export function writeBlock(start: usize, end: usize, literals: u32, at: usize, last: bool): usize {
  output = at;
  store<u32>(sequence, literals);
  store<u16>(sequence, 0, 4);
  count(litlenFrequencies, END_OF_BLOCK);
  makeCode(litlenFrequencies, LITLEN_SYMBOLS, MAX_LITLEN_BITS, lengths, litlenCodewords);
  makeCode(distanceFrequencies, DISTANCE_SYMBOLS, 15, distanceLengths, distanceCodewords);
  const litlens = trimmed(lengths, LITLEN_SYMBOLS, 257);
  const distances = trimmed(distanceLengths, DISTANCE_SYMBOLS, 1);
  memory.copy(lengths + litlens, distanceLengths, distances);
  const itemsEnd = describeLengths(litlens + distances);
  makeCode(precodeFrequencies, PRECODE_SYMBOLS, 7, precodeLengths, precodeCodewords);

  const headerBits = 14 + headerLength(itemsEnd);
  const storedBits = (<u64>(end - start) + 5 * ((end - start) / MAX_STORED + 1)) << 3;
  if (headerBits + contentLength(litlens) < storedBits) {
    put((2 << 1) | (last ? 1 : 0), 3);
    writeHeader(litlens, distances, itemsEnd);
    writeSequences(start);
  } else {
    writeStored(start, end, last);
  }
  if (last) {
    put(0, (8 - pending) & 7);
    flush();
  }
  return output;
}

function count(frequencies: usize, symbol: usize): void {
  const at = frequencies + (symbol << 2);
  store<u32>(at, load<u32>(at) + 1);
}

/** @param distance less one */
function distanceSymbol(distance: u32): usize {
  if (distance < 2) return distance;
  const top = 31 - clz(distance);
  return (top << 1) | ((distance >> (top - 1)) & 1);
}

function distanceExtraBits(symbol: u32): u32 {
  return symbol < 4 ? 0 : (symbol >> 1) - 1;
}

/** @param most 57 bits less what is pending */
function put(bits: u64, length: u64): void {
  buffer |= bits << pending;
  pending += length;
}

/** Fewer than 8 bits are pending afterwards. */
function flush(): void {
  store<u64>(output, buffer);
  output += <usize>(pending >> 3);
  buffer >>= pending & 56;
  pending &= 7;
}

function trimmed(lengths: usize, count: u32, least: u32): u32 {
  while (count > least && load<u8>(lengths + count - 1) === 0) count--;
  return count;
}

/** Runs of lengths as symbols of the precode: RFC 1951, 3.2.7. @returns where the items end */
function describeLengths(total: u32): usize {
  memory.fill(precodeFrequencies, 0, PRECODE_SYMBOLS << 2);
  let item = items;
  for (let at: u32 = 0; at < total;) {
    const length = load<u8>(lengths + at);
    let run: u32 = 1;
    while (at + run < total && load<u8>(lengths + at + run) === length) run++;
    at += run;
    if (length === 0) {
      while (run >= 11) {
        const extra = min(run - 11, 127);
        item = addItem(item, 18, extra);
        run -= 11 + extra;
      }
      if (run >= 3) {
        item = addItem(item, 17, run - 3);
        run = 0;
      }
    } else if (run >= 4) {
      item = addItem(item, length, 0);
      run--;
      while (run >= 3) {
        const extra = min(run - 3, 3);
        item = addItem(item, 16, extra);
        run -= 3 + extra;
      }
    }
    for (; run > 0; run--) item = addItem(item, length, 0);
  }
  return item;
}

function addItem(item: usize, symbol: u32, extra: u32): usize {
  count(precodeFrequencies, symbol);
  store<u16>(item, <u16>(symbol | (extra << 5)));
  return item + 2;
}

function itemExtraBits(symbol: u32): u32 {
  return symbol === 16 ? 2 : symbol === 17 ? 3 : symbol === 18 ? 7 : 0;
}

function precodesSent(): u32 {
  let sent = PRECODE_SYMBOLS;
  while (sent > 4 && load<u8>(precodeLengths + <usize>load<u8>(PRECODE_ORDER + sent - 1)) === 0) sent--;
  return sent;
}

function headerLength(itemsEnd: usize): u64 {
  let bits: u64 = 3 * precodesSent();
  for (let item = items; item < itemsEnd; item += 2) {
    const symbol = (<u32>load<u16>(item)) & 31;
    bits += <u64>load<u8>(precodeLengths + symbol) + itemExtraBits(symbol);
  }
  return bits;
}

function contentLength(litlens: u32): u64 {
  let bits: u64 = 3;
  for (let symbol: u32 = 0; symbol < litlens; symbol++) {
    const extra = symbol < 257 ? 0 : load<u8>(lengthExtraBits + symbol - 257);
    bits += <u64>load<u32>(litlenFrequencies + (symbol << 2)) * (load<u8>(lengths + symbol) + extra);
  }
  for (let symbol: u32 = 0; symbol < DISTANCE_SYMBOLS; symbol++)
    bits +=
      <u64>load<u32>(distanceFrequencies + (symbol << 2)) *
      (load<u8>(distanceLengths + symbol) + distanceExtraBits(symbol));
  return bits;
}

function writeHeader(litlens: u32, distances: u32, itemsEnd: usize): void {
  const sent = precodesSent();
  put(litlens - 257, 5);
  put(distances - 1, 5);
  put(sent - 4, 4);
  flush();
  for (let i: u32 = 0; i < sent; i++) {
    put(load<u8>(precodeLengths + <usize>load<u8>(PRECODE_ORDER + i)), 3);
    flush();
  }
  for (let item = items; item < itemsEnd; item += 2) {
    const symbol = (<u32>load<u16>(item)) & 31;
    put(load<u16>(precodeCodewords + (symbol << 1)), load<u8>(precodeLengths + symbol));
    put(load<u16>(item) >> 5, itemExtraBits(symbol));
    flush();
  }
}

function writeSequences(start: usize): void {
  joinMatchCodewords();
  let at = start;
  let to = output;
  let bits = buffer;
  let held = pending;
  for (let next = sequences; ; next += 8) {
    for (let end = at + load<u32>(next); at < end;) {
      // Four of at most 14 bits, and 7 that were held.
      const stop = min(at + 4, end);
      for (; at < stop; at++) {
        const literal = <usize>load<u8>(at);
        bits |= (<u64>load<u16>(litlenCodewords + (literal << 1))) << held;
        held += <u64>load<u8>(lengths + literal);
      }
      store<u64>(to, bits);
      to += <usize>(held >> 3);
      bits >>= held & 56;
      held &= 7;
    }
    const length = <usize>load<u16>(next, 4);
    if (length === 0) break;
    // At most 19 and 28 bits.
    bits |= (<u64>load<u32>(matchCodewords + (length << 2))) << held;
    held += <u64>load<u8>(matchBits + length);
    const distance = <u32>load<u16>(next, 6);
    const symbol = distanceSymbol(distance);
    const extra = distanceExtraBits(<u32>symbol);
    bits |= (<u64>load<u16>(distanceCodewords + (symbol << 1))) << held;
    held += <u64>load<u8>(distanceLengths + symbol);
    bits |= (<u64>(distance & ((1 << extra) - 1))) << held;
    held += extra;
    store<u64>(to, bits);
    to += <usize>(held >> 3);
    bits >>= held & 56;
    held &= 7;
    at += length;
  }
  output = to;
  buffer = bits;
  pending = held;
  put(load<u16>(litlenCodewords + (END_OF_BLOCK << 1)), load<u8>(lengths + END_OF_BLOCK));
  flush();
}

function joinMatchCodewords(): void {
  for (let length: u32 = 3; length <= 258; length++) {
    const symbol = <u32>load<u8>(lengthSymbols + length);
    const own = <u32>load<u8>(lengths + 257 + symbol);
    const extra = length - load<u16>(lengthBases + (symbol << 1));
    store<u32>(
      matchCodewords + (length << 2),
      (extra << own) | load<u16>(litlenCodewords + ((257 + symbol) << 1)),
    );
    store<u8>(matchBits + length, <u8>(own + load<u8>(lengthExtraBits + symbol)));
  }
}

function writeStored(start: usize, end: usize, last: bool): void {
  let at = start;
  do {
    const length = min(end - at, MAX_STORED);
    put(last && at + length === end ? 1 : 0, 3);
    put(0, (8 - pending) & 7);
    flush();
    store<u16>(output, <u16>length);
    store<u16>(output, <u16>~length, 2);
    memory.copy(output + 4, at, length);
    output += 4 + length;
    at += length;
  } while (at < end);
}

function fillLengthSymbols(): void {
  let length: u32 = 3;
  for (let symbol: u32 = 0; symbol < 28; symbol++) {
    const extra: u32 = symbol < 8 ? 0 : (symbol - 4) >> 2;
    store<u16>(lengthBases + (symbol << 1), <u16>length);
    store<u8>(lengthExtraBits + symbol, <u8>extra);
    for (let many: u32 = 1 << extra; many > 0; many--) store<u8>(lengthSymbols + length++, <u8>symbol);
  }
  // 258 could be written with the symbol before as well; it has one of its own.
  store<u16>(lengthBases + (28 << 1), 258);
  store<u8>(lengthSymbols + 258, 28);
}
