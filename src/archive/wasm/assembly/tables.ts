/**
 * Tables that decode a Huffman code of deflate (RFC 1951, 3.2.2) by the next bits of the stream.
 *
 * An entry of 32 bits: 0-5 the bits to take, codeword and extra bits together; 8-11 those of the codeword
 * alone (of a subtable, the bits that index it); 12-15 flags; 16-31 the literal, the base of a length or
 * distance, or where the subtable begins.
 */

export const LITERAL: u32 = 1 << 12;
/**
 * Neither a literal nor a match: a subtable, the end, or, with no other flag, a symbol that must not occur.
 */
export const EXCEPTIONAL: u32 = 1 << 13;
export const SUBTABLE: u32 = 1 << 14;
export const END: u32 = 1 << 15;

const MAX_LENGTH: u32 = 15;
const counts = memory.data(16 * 4, 16);
const firsts = memory.data(16 * 4, 16);
const sorted = memory.data(288 * 2, 16);

/**
 * @param lengths a byte for each of the `count` symbols; 0: the symbol does not occur
 * @param results entries of the symbols, without their codewords
 * @param bits index the main table, the subtables follow it
 * @returns whether the lengths make up a complete code, or one of at most one codeword, which zlib takes as
 *   well
 */
export function buildTable(table: usize, lengths: usize, count: u32, results: usize, bits: u32): bool {
  memory.fill(counts, 0, 16 * 4);
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const at = counts + ((<usize>load<u8>(lengths + symbol)) << 2);
    store<u32>(at, load<u32>(at) + 1);
  }
  const unused = load<u32>(counts);
  let used: u32 = 0;
  let first: u32 = 0;
  for (let length: u32 = 1; length <= MAX_LENGTH; length++) {
    store<u32>(firsts + (length << 2), first);
    const many = load<u32>(counts + (length << 2));
    first += many;
    used += many << (MAX_LENGTH - length);
  }
  if (used > 1 << MAX_LENGTH) return false;
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const length = <usize>load<u8>(lengths + symbol);
    if (length === 0) continue;
    const at = firsts + (length << 2);
    const position = load<u32>(at);
    store<u32>(at, position + 1);
    store<u16>(sorted + ((<usize>position) << 1), <u16>symbol);
  }
  if (used < 1 << MAX_LENGTH) return buildIncomplete(table, count - unused, results, bits);

  // Codewords in their order. They are read from the lowest bit on, so they are held reversed.
  let codeword: u32 = 0;
  let position: usize = 0;
  let length: u32 = 1;
  let size: u32 = 2;
  for (; length <= bits; length++) {
    for (let many = load<u32>(counts + (length << 2)); many > 0; many--) {
      store<u32>(table + ((<usize>codeword) << 2), entryOf(results, position++, length));
      codeword = following(codeword, size - 1);
    }
    // Shorter codewords fill every place that their bits lead to: the table as it is, twice.
    if (length < bits) {
      memory.copy(table + ((<usize>size) << 2), table, size << 2);
      size <<= 1;
    }
  }
  if (position === count - unused) return true;

  const mask: u32 = (1 << bits) - 1;
  let prefix: u32 = u32.MAX_VALUE;
  let subtable: u32 = 0;
  let subtableBits: u32 = 0;
  let free: u32 = 1 << bits;
  for (; length <= MAX_LENGTH; length++) {
    const ones: u32 = (1 << length) - 1;
    for (let many = load<u32>(counts + (length << 2)); many > 0; many--) {
      if ((codeword & mask) !== prefix) {
        prefix = codeword & mask;
        subtable = free;
        subtableBits = bitsOfSubtable(length, many, bits);
        free += 1 << subtableBits;
        store<u32>(
          table + ((<usize>prefix) << 2),
          (subtable << 16) | EXCEPTIONAL | SUBTABLE | (subtableBits << 8) | bits,
        );
      }
      const entry = entryOf(results, position++, length - bits);
      for (let at = codeword >> bits; at < 1 << subtableBits; at += 1 << (length - bits))
        store<u32>(table + ((<usize>(subtable + at)) << 2), entry);
      codeword = following(codeword, ones);
    }
  }
  return true;
}

/** A code without codewords, or with one, of one bit: the other bit leads nowhere. */
function buildIncomplete(table: usize, codewords: u32, results: usize, bits: u32): bool {
  if (codewords > 1 || (codewords === 1 && load<u32>(counts + 4) !== 1)) return false;
  const entry = codewords === 1 ? entryOf(results, 0, 1) : EXCEPTIONAL;
  for (let at: usize = 0; at < 1 << bits; at++) store<u32>(table + (at << 2), at & 1 ? EXCEPTIONAL : entry);
  return true;
}

function entryOf(results: usize, position: usize, length: u32): u32 {
  const symbol = <usize>load<u16>(sorted + (position << 1));
  return load<u32>(results + (symbol << 2)) + ((length << 8) | length);
}

/**
 * The codeword after `codeword`, both with their bits reversed: adds one at the highest bit. `ones` is the
 * last one.
 */
function following(codeword: u32, ones: u32): u32 {
  if (codeword === ones) return codeword;
  const bit = (<u32>1) << (31 - clz(codeword ^ ones));
  return (codeword & (bit - 1)) | bit;
}

/** How many more bits than the main table's lead to any codeword that begins as the next one does. */
function bitsOfSubtable(length: u32, many: u32, bits: u32): u32 {
  let more = length - bits;
  for (let filled = many; filled < 1 << more;) {
    more++;
    filled = (filled << 1) + load<u32>(counts + ((bits + more) << 2));
  }
  return more;
}
