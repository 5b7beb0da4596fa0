/**
 * Makes a Huffman code of limited length (RFC 1951, 3.2.2) from the frequencies of its symbols. The tree is
 * built in place, as Moffat and Katajainen showed; too long codewords are shortened where it costs least.
 */
const MAX_LENGTH: u32 = 15;
/** An element holds a symbol, and above it a frequency, a parent or a depth. */
const SYMBOL_BITS: u32 = 10;
const SYMBOL: u32 = (1 << 10) - 1;

const elements = memory.data(288 * 4, 16);
const lengthCounts = memory.data(17 * 4, 16);
const nextCodewords = memory.data(17 * 4, 16);

/**
 * @param frequencies a `u32` for each of the `count` symbols, below 2²²
 * @param lengths receives a byte for each
 * @param codewords receives a `u16` for each, its first bit lowest
 */
export function makeCode(
  frequencies: usize,
  count: u32,
  maxLength: u32,
  lengths: usize,
  codewords: usize,
): void {
  memory.fill(lengths, 0, count);
  let used: u32 = 0;
  let last: u32 = 0;
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const frequency = load<u32>(frequencies + (symbol << 2));
    if (frequency === 0) continue;
    set(used++, (frequency << SYMBOL_BITS) | symbol);
    last = symbol;
  }
  if (used < 2) {
    // Two codewords of one bit, so that the code is complete: some decoders insist on it.
    const other: u32 = last === 0 ? 1 : 0;
    store<u8>(lengths + last, 1);
    store<u8>(lengths + other, 1);
  } else {
    sort(used);
    buildTree(used);
    countLengths(used - 2, maxLength);
    for (let i: u32 = 0, length = maxLength; length >= 1; length--)
      for (let many = countOf(length); many > 0; many--) store<u8>(lengths + (get(i++) & SYMBOL), <u8>length);
  }
  assignCodewords(count, lengths, codewords);
}

function get(i: u32): u32 {
  return load<u32>(elements + (i << 2));
}

function set(i: u32, value: u32): void {
  store<u32>(elements + (i << 2), value);
}

function countOf(length: u32): u32 {
  return load<u32>(lengthCounts + (length << 2));
}

/** Rarest first: Shell's sort, a few hundred elements at most. */
function sort(count: u32): void {
  for (let gap: u32 = 121; gap > 0; gap /= 3)
    for (let i = gap; i < count; i++) {
      const element = get(i);
      let j = i;
      for (; j >= gap && get(j - gap) > element; j -= gap) set(j, get(j - gap));
      set(j, element);
    }
}

/**
 * Elements become inner nodes from the first on, each with its parent's place above its symbol; the last one
 * is the root.
 */
function buildTree(count: u32): void {
  let leaf: u32 = 0;
  let inner: u32 = 0;
  let free: u32 = 0;
  do {
    let frequency: u32 = 0;
    for (let child = 0; child < 2; child++) {
      const takesLeaf =
        leaf < count && (inner === free || get(leaf) >> SYMBOL_BITS <= get(inner) >> SYMBOL_BITS);
      if (takesLeaf) {
        frequency += get(leaf++) >> SYMBOL_BITS;
      } else {
        frequency += get(inner) >> SYMBOL_BITS;
        set(inner, (free << SYMBOL_BITS) | (get(inner) & SYMBOL));
        inner++;
      }
    }
    set(free, (frequency << SYMBOL_BITS) | (get(free) & SYMBOL));
    free++;
  } while (count - free > 1);
}

/**
 * How many codewords of each length there are; the depth of each inner node takes the place of its parent.
 */
function countLengths(root: u32, maxLength: u32): void {
  memory.fill(lengthCounts, 0, 17 * 4);
  store<u32>(lengthCounts + 4, 2);
  set(root, get(root) & SYMBOL);
  for (let node = <i32>root - 1; node >= 0; node--) {
    const element = get(node);
    let depth = (get(element >> SYMBOL_BITS) >> SYMBOL_BITS) + 1;
    set(node, (element & SYMBOL) | (depth << SYMBOL_BITS));
    // A leaf of this depth becomes two that are one deeper. Too deep: a leaf further up does.
    if (depth >= maxLength) {
      depth = maxLength;
      do depth--;
      while (countOf(depth) === 0);
    }
    const at = lengthCounts + (depth << 2);
    store<u32>(at, load<u32>(at) - 1);
    store<u32>(at + 4, load<u32>(at + 4) + 2);
  }
}

function assignCodewords(count: u32, lengths: usize, codewords: usize): void {
  memory.fill(lengthCounts, 0, 17 * 4);
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const at = lengthCounts + ((<usize>load<u8>(lengths + symbol)) << 2);
    store<u32>(at, load<u32>(at) + 1);
  }
  let next: u32 = 0;
  store<u32>(lengthCounts, 0);
  for (let length: u32 = 1; length <= MAX_LENGTH; length++) {
    next = (next + countOf(length - 1)) << 1;
    store<u32>(nextCodewords + (length << 2), next);
  }
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const length = <u32>load<u8>(lengths + symbol);
    if (length === 0) continue;
    const at = nextCodewords + (length << 2);
    const codeword = load<u32>(at);
    store<u32>(at, codeword + 1);
    store<u16>(codewords + (symbol << 1), <u16>reversed(codeword, length));
  }
}

function reversed(codeword: u32, length: u32): u32 {
  let bits = codeword;
  bits = ((bits & 0x5555) << 1) | ((bits >> 1) & 0x5555);
  bits = ((bits & 0x3333) << 2) | ((bits >> 2) & 0x3333);
  bits = ((bits & 0x0f0f) << 4) | ((bits >> 4) & 0x0f0f);
  bits = ((bits & 0x00ff) << 8) | ((bits >> 8) & 0x00ff);
  return bits >> (16 - length);
}
