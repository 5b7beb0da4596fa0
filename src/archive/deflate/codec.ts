/**
 * Deflate and inflate (RFC 1951) of whole buffers, in WebAssembly made from assembly/. Node's zlib works on streams; to know that
 * all of the input and all of the room are there makes this one about a quarter faster at both, see docs/benchmarks.md. Damaged
 * input cannot reach anything but the module's own memory.
 */
import { readFileSync } from 'node:fs';

export interface Codec {
  /**
   * Memory that `deflate` reads without copying it first. Valid until the next call, of which it has to be the input.
   * @param length in bytes
   */
  room(length: number): Buffer;

  /**
   * The answer is valid until the next call.
   * @param tail bytes at its end that the caller fills, at most 16
   */
  deflate(bytes: Uint8Array, effort: Effort, tail: number): Buffer;

  /**
   * Inflates one stream, the whole of `stream`. The answer is valid until the next call.
   * @param length of the answer in bytes: what is kept free for it, whatever the stream says
   * @throws RangeError when it is damaged, followed by something, or of another length
   */
  inflate(stream: Uint8Array, length: number): Buffer;
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
  inflate(input: number, inputLength: number, output: number, outputLength: number): number;
  deflate(
    input: number,
    inputLength: number,
    output: number,
    depth: number,
    nice: number,
    lazy: boolean,
  ): number;
}

/** The types of Node leave it out. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: Exports };
};

const PAGE = 64 * 1024;

export function createCodec(): Codec {
  const module = new WebAssembly.Module(readFileSync(wasmPath()));
  const { memory, SLACK, inflate, deflate } = new WebAssembly.Instance(module).exports;
  const slack = SLACK.value;
  /** Behind what the module keeps for itself. */
  const input = memory.buffer.byteLength;
  let bytes = Buffer.from(memory.buffer);

  /** Makes room for both. @returns where the output goes */
  function layOut(inputLength: number, outputLength: number): number {
    const output = input + roundUp(inputLength + slack, 16);
    const missing = output + outputLength + slack - bytes.length;
    if (missing > 0) {
      memory.grow(Math.ceil(missing / PAGE));
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
      if (taken !== stream.length) throw new RangeError(`not a deflate stream of ${length} bytes`);
      return bytes.subarray(output, output + length);
    },
  };
}

/** All of it in stored blocks of five bytes more, two or three for each block of 100,000 to 150,000; and the tail. */
function mostDeflated(length: number): number {
  return length + 5 * Math.ceil(length / 50_000) + 32;
}

function roundUp(length: number, step: number): number {
  return Math.ceil(length / step) * step;
}

/** Built into dist/, where the bundles are too. */
function wasmPath(): URL {
  const path = import.meta.url.endsWith('.ts') ? '../../../dist/deflate.wasm' : './deflate.wasm';
  return new URL(path, import.meta.url);
}
