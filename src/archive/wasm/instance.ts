/**
 * The inner loops of packing and unpacking, in WebAssembly made from assembly/: deflate and inflate (RFC
 * 1951) of whole buffers, and reading tar headers. Node's zlib works on streams; to know that all of the
 * input and all of the room are there makes this one about a quarter faster at both, see docs/benchmarks.md.
 * Damaged input cannot reach anything but the module's own memory.
 *
 * A thread has one instance, whose memory all calls share: what one answers is valid until the next.
 */
import { readFileSync } from 'node:fs';
import { CacheError } from '../../errors.ts';
import { outOfMemory } from '../errors.ts';
import { EntryTable } from './entry-table.ts';

export interface Wasm {
  /**
   * Memory that `deflate` reads without copying it first. Valid until the next call, of which it has to be
   * the input.
   * @param length in bytes
   */
  room(length: number): Buffer;

  /** @param tail bytes at its end that the caller fills, at most 16 */
  deflate(bytes: Uint8Array, effort: Effort, tail: number): Buffer;

  /**
   * Inflates one stream, the whole of `stream`.
   * @param length of the answer in bytes: what is kept free for it, whatever the stream says
   * @returns undefined when it is damaged, followed by something, or of another length
   */
  inflate(stream: Uint8Array, length: number): Buffer | undefined;

  /** Whether bytes are in the memory of this instance. */
  holds(bytes: Uint8Array): boolean;

  /** Memory for what others decompress, so that `readEntries` can read it. @param length in bytes */
  output(length: number): Buffer;

  /**
   * Reads the headers of ordinary entries, as many as there are from `at` on and fit a table. For what counts
   * as ordinary, see assembly/entries.ts; tar-entries.ts says the same of them.
   * @param tar in this memory, see `isInWasm`
   * @param at may lie beyond its end
   */
  readEntries(tar: Buffer, at: number, limits: { maxPathBytes: number; maxBytes: number }): EntryTable;
}

/** How hard `deflate` tries. */
export interface Effort {
  /** Earlier places that are looked at for each match, at least 1. */
  depth: number;
  /** Length of a match that ends the search, 4 to 258. */
  nice: number;
  /** Looks whether the next byte begins a longer match, before one is taken. */
  lazy: boolean;
}

/** What assembly/index.ts exports; pointers are offsets into `memory`. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): void };
  /** Bytes behind input and output that the module may touch. */
  readonly SLACK: { readonly value: number };
  /** The table that `readEntries` fills. */
  readonly ENTRIES: { readonly value: number };
  inflate(input: number, inputLength: number, output: number, outputLength: number): number;
  deflate(
    input: number,
    inputLength: number,
    output: number,
    depth: number,
    nice: number,
    lazy: boolean,
  ): number;
  readEntries(tar: number, at: number, end: number, maxPath: number, maxSize: number): number;
}

/** The types of Node leave it out. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: Exports };
};

const PAGE = 64 * 1024;
const MAX_I32 = 0x7fffffff;

let made: Wasm | undefined;

/** This thread's instance, made when it is first needed. */
export function wasm(): Wasm {
  return (made ??= createWasm());
}

/** Whether bytes are in the memory of this thread's instance. */
export function isInWasm(bytes: Uint8Array): boolean {
  return made !== undefined && made.holds(bytes);
}

/**
 * An instance with memory of its own. Its methods throw OUT_OF_MEMORY as well.
 * @throws CacheError OUT_OF_MEMORY, CONFIG_INVALID
 */
export function createWasm(): Wasm {
  const { exports } = instantiate();
  const { memory, inflate, deflate, readEntries } = exports;
  const slack = exports.SLACK.value;
  /** Behind what the module keeps for itself. */
  const input = memory.buffer.byteLength;
  let bytes = Buffer.from(memory.buffer);

  /** Makes room for both. @returns where the output goes */
  function layOut(inputLength: number, outputLength: number): number {
    const output = input + roundUp(inputLength + slack, 16);
    const missing = output + outputLength + slack - bytes.length;
    if (missing > 0) {
      orOutOfMemory(() => memory.grow(Math.ceil(missing / PAGE)));
      bytes = Buffer.from(memory.buffer);
    }
    return output;
  }

  return {
    room(length) {
      layOut(length, mostDeflated(length));
      return bytes.subarray(input, input + length);
    },
    deflate(source, { depth, nice, lazy }, tail) {
      const isInPlace = source.buffer === memory.buffer && source.byteOffset === input;
      const output = layOut(source.length, mostDeflated(source.length));
      if (!isInPlace) bytes.set(source, input);
      const length = deflate(input, source.length, output, depth, nice, lazy);
      return bytes.subarray(output, output + length + tail);
    },
    inflate(stream, length) {
      const output = layOut(stream.length, length);
      bytes.set(stream, input);
      const taken = inflate(input, stream.length, output, length);
      return taken !== stream.length ? undefined : bytes.subarray(output, output + length);
    },
    holds: (bytes) => bytes.buffer === memory.buffer,
    output(length) {
      const output = layOut(0, length);
      return bytes.subarray(output, output + length);
    },
    readEntries(tar, at, { maxPathBytes, maxBytes }) {
      const { byteOffset, length } = tar;
      // A file may end beyond what numbers are in there, let alone beyond this tar.
      const count =
        at < length ? readEntries(byteOffset, at, length, maxPathBytes, Math.min(maxBytes, MAX_I32)) : 0;
      return new EntryTable(tar, exports.ENTRIES.value, count);
    },
  };
}

function instantiate(): { exports: Exports } {
  if (typeof WebAssembly === 'undefined')
    throw new CacheError('CONFIG_INVALID', 'This Node runs without WebAssembly', {
      hint: 'Start it without --jitless; NODE_OPTIONS may hold it too.',
    });
  const module = new WebAssembly.Module(readFileSync(wasmPath()));
  return orOutOfMemory(() => new WebAssembly.Instance(module));
}

/**
 * V8 reserves 10 GB of addresses for each instance: a limit on those (ulimit -v) is met long before memory
 * runs out.
 */
function orOutOfMemory<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw outOfMemory(error);
  }
}

/**
 * All of it in stored blocks of five bytes more, two or three for each block of 100,000 to 150,000; and the
 * tail.
 */
function mostDeflated(length: number): number {
  return length + 5 * Math.ceil(length / 50_000) + 32;
}

function roundUp(length: number, step: number): number {
  return Math.ceil(length / step) * step;
}

/** Built into dist/, where the bundles are too. */
function wasmPath(): URL {
  const path = import.meta.url.endsWith('.ts') ? '../../../dist/archive.wasm' : './archive.wasm';
  return new URL(path, import.meta.url);
}
