/**
 * The precode: the Huffman code in which the header of a block says the lengths of its other codes. RFC 1951,
 * 3.2.7.
 */
export const PRECODE_SYMBOLS: u32 = 19;
/** The order in which the lengths of the precode's own codewords come, a byte each. */
export const PRECODE_ORDER = memory.data<u8>([
  16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
]);
