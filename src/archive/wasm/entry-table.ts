/**
 * The ordinary entries of a tar, as assembly/entries.ts puts them into a table. Methods take the number of an
 * entry, from 0.
 */
export class EntryTable {
  readonly count: number;
  readonly #tar: Buffer;
  readonly #numbers: Int32Array;
  readonly #times: Float64Array;

  /** @param place of the table in the memory that `tar` is part of */
  constructor(tar: Buffer, place: number, count: number) {
    this.count = count;
    this.#tar = tar;
    this.#numbers = new Int32Array(tar.buffer, place, count * ROW);
    this.#times = new Float64Array(tar.buffer, place, (count * ROW) / 2);
  }

  isDirectory(entry: number): boolean {
    return this.#numbers[entry * ROW + KIND] === DIRECTORY;
  }

  /** Whether it is a file in the directory of the last file before it in this table. */
  isBeside(entry: number): boolean {
    return this.#numbers[entry * ROW + KIND] === BESIDE;
  }

  /** Within the archive, binary string, see tar-header.ts; a directory's may end in `/`. */
  path(entry: number): string {
    const at = this.#numbers[entry * ROW + AT]!;
    const name = this.#tar.toString('latin1', at, at + this.#numbers[entry * ROW + NAME_LENGTH]!);
    const prefixLength = this.#numbers[entry * ROW + PREFIX_LENGTH]!;
    if (prefixLength === 0) return name;
    return `${this.#tar.toString('latin1', at + PREFIX_AT, at + PREFIX_AT + prefixLength)}/${name}`;
  }

  /** The last segment of a file's path. */
  base(entry: number): string {
    const at = this.#numbers[entry * ROW + AT]!;
    const from = at + this.#numbers[entry * ROW + BASE_AT]!;
    return this.#tar.toString('latin1', from, at + this.#numbers[entry * ROW + NAME_LENGTH]!);
  }

  /** The metadata; of a directory the size is 0. */
  file(entry: number): FileContent {
    return {
      at: this.#numbers[entry * ROW + AT]! + BLOCK,
      size: this.#numbers[entry * ROW + SIZE]!,
      mode: this.#numbers[entry * ROW + MODE]!,
      mtimeUs: this.#times[(entry * ROW) / 2 + MTIME]!,
    };
  }
}

/** What an entry's header says of its content. */
export interface FileContent {
  /** Where the content begins in the tar; the header is the block before. */
  at: number;
  /** Bytes. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** Microseconds since 1970. */
  mtimeUs: number;
}

const BLOCK = 512;
const PREFIX_AT = 345;

/** Columns, in units of 4 bytes. */
const AT = 0;
const SIZE = 1;
const MODE = 2;
const KIND = 3;
const PREFIX_LENGTH = 4;
const NAME_LENGTH = 5;
const BASE_AT = 6;
const ROW = 10;
/** In units of 8 bytes. */
const MTIME = 4;

/** Kinds; a file that is not beside another is 1. */
const DIRECTORY = 0;
const BESIDE = 2;
