/**
 * Reads the headers of ordinary entries: ustar, a file or a directory, no pax header, digits in every number,
 * all of the content there. Whatever else there is, is left to tar-entries.ts, which has to say the same of
 * an ordinary one; so nothing here decides what is allowed.
 *
 * Unpacking begins with cold code, and V8 takes longer to get this loop fast in JavaScript than most archives
 * take to unpack.
 */
const BLOCK: u32 = 512;
const NAME: u32 = 100;
const PREFIX: u32 = 155;
const PREFIX_AT: usize = 345;
const TYPE_FILE: u32 = 0x30;
const TYPE_DIRECTORY: u32 = 0x35;
const SLASH: u32 = 0x2f;
const DOT: u32 = 0x2e;

/** Entries that one call reads. */
const MOST_ENTRIES: u32 = 512;
/**
 * Bytes of each: i32 at, size, mode, kind, prefixLength, nameLength, baseAt, nothing; f64 mtimeUs. See
 * ../entry-table.ts.
 */
const ENTRY: u32 = 40;
export const ENTRIES: usize = memory.data(MOST_ENTRIES * ENTRY, 8);

/** A file in the same directory as the file before it in the table. */
const KIND_BESIDE: u32 = 2;
const KIND_FILE: u32 = 1;
const KIND_DIRECTORY: u32 = 0;

/**
 * Fills ENTRIES from the header at `tar + at` on, as far as entries are ordinary.
 * @param end of the tar, from `tar`
 * @param maxPath bytes of a name at most; longer ones are not ordinary
 * @param maxSize bytes of a file at most; larger ones are not ordinary
 * @returns how many there are
 */
export function readEntries(tar: usize, at: u32, end: u32, maxPath: u32, maxSize: u32): u32 {
  let count: u32 = 0;
  let sibling: usize = 0;
  let siblingBase: u32 = 0;
  while (count < MOST_ENTRIES && at + BLOCK <= end) {
    const header = tar + at;
    const type = <u32>load<u8>(header, 156);
    if (type !== TYPE_FILE && type !== TYPE_DIRECTORY) break;
    // "ustar\0"
    if (load<u32>(header, 257) !== 0x61747375 || load<u16>(header, 261) !== 0x0072) break;
    const mode = octal(header + 100, 7);
    const size = octal(header + 124, 11);
    const seconds = octal(header + 136, 11);
    if (mode < 0 || size < 0 || seconds < 0) break;
    if (size > <i64>(type === TYPE_FILE ? min(maxSize, end - at - BLOCK) : 0)) break;
    const next = at + BLOCK + ((<u32>size + BLOCK - 1) & ~(BLOCK - 1));
    if (next > end) break;

    const nameLength = textLength(header, NAME);
    const prefixLength = textLength(header + PREFIX_AT, PREFIX);
    if (nameLength === 0 || load<u8>(header, 157) !== 0) break;
    if ((prefixLength > 0 ? prefixLength + 1 : 0) + nameLength > maxPath) break;
    let baseAt: u32 = nameLength;
    while (baseAt > 0 && <u32>load<u8>(header + baseAt - 1) !== SLASH) baseAt--;
    if (type === TYPE_FILE && isOdd(header + baseAt, nameLength - baseAt)) break;

    let kind = KIND_DIRECTORY;
    if (type === TYPE_FILE) {
      const beside =
        sibling !== 0 &&
        baseAt === siblingBase &&
        isSame(sibling, header, baseAt) &&
        isSame(sibling + PREFIX_AT, header + PREFIX_AT, min(prefixLength + 1, PREFIX));
      kind = beside ? KIND_BESIDE : KIND_FILE;
      sibling = header;
      siblingBase = baseAt;
    }

    const entry = ENTRIES + count++ * ENTRY;
    store<u32>(entry, at);
    store<u32>(entry, <u32>size, 4);
    store<u32>(entry, (<u32>mode) & 0o777, 8);
    store<u32>(entry, kind, 12);
    store<u32>(entry, prefixLength, 16);
    store<u32>(entry, nameLength, 20);
    store<u32>(entry, baseAt, 24);
    store<f64>(entry, <f64>seconds * 1e6 + <f64>microseconds(header + 500), 32);
    at = next;
  }
  return count;
}

/** What so many octal digits and a NUL say; -1 where anything else stands. */
function octal(at: usize, digits: u32): i64 {
  let value: i64 = 0;
  for (let n: u32 = 0; n < digits; n++) {
    const digit = <u32>load<u8>(at + n) - 0x30;
    if (digit > 7) return -1;
    value = value * 8 + digit;
  }
  return load<u8>(at + digits) === 0 ? value : -1;
}

/** Bytes up to a NUL; `most` without one. */
function textLength(at: usize, most: u32): u32 {
  let n: u32 = 0;
  while (n < most && load<u8>(at + n) !== 0) n++;
  return n;
}

/** Names that no file has. */
function isOdd(base: usize, length: u32): bool {
  if (length > 2) return false;
  if (length === 0) return true;
  return <u32>load<u8>(base) === DOT && (length === 1 || <u32>load<u8>(base, 1) === DOT);
}

function isSame(one: usize, other: usize, length: u32): bool {
  for (let n: u32 = 0; n < length; n++) if (load<u8>(one + n) !== load<u8>(other + n)) return false;
  return true;
}

/** `us=123456` → 123456, see ../../format/tar-header.ts; 0 where anything else stands. */
function microseconds(at: usize): u32 {
  if (load<u16>(at) !== 0x7375 || load<u8>(at, 2) !== 0x3d) return 0;
  let value: u32 = 0;
  for (let n: u32 = 3; n < 9; n++) {
    const digit = <u32>load<u8>(at + n) - 0x30;
    if (digit > 9) return 0;
    value = value * 10 + digit;
  }
  return value;
}
