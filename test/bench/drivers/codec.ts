/**
 * Deflates or inflates pieces of a tar as long as members, on one core, with our codec or with Node's zlib. Takes one argument, a job
 * as JSON; prints the seconds of the second pass (the first one warms up) and the bytes that came of deflating.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createGunzip, createGzip, gunzipSync, gzipSync, constants } from 'node:zlib';
import { gzipContainer } from '../../../src/archive/format/gzip.ts';
import { createCompressor, createDecompressor } from '../../../src/archive/format/zstd-one-shot.ts';

export interface CodecJob {
  operation: 'deflate' | 'inflate';
  codec: 'ours' | 'zlib';
  level: number;
  tar: string;
}

const PIECE = 2 * 1024 * 1024;
/** Every so many pieces of the tar, one is taken: all parts of the tree, in a few seconds. */
const STRIDE = 5;
/** Bytes of what zlib makes before its deflate stream. */
const GZIP_HEADER = 10;

run(JSON.parse(process.argv[2] ?? '') as CodecJob);

function run({ operation, codec, level, tar }: CodecJob): void {
  const pieces = readPieces(tar);
  const { deflate, inflate } = codec === 'ours' ? ours() : zlibs();
  // Both inflate the same streams.
  const streams = operation === 'inflate' ? pieces.map((piece) => copy(zlibs().deflate(piece, level))) : [];
  let storedBytes = 0;
  const pass = (): void => {
    if (operation === 'deflate')
      storedBytes = pieces.reduce((sum, piece) => sum + deflate(piece, level).length, 0);
    else for (const stream of streams) inflate(stream);
  };
  pass();
  const start = process.hrtime.bigint();
  pass();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  process.stdout.write(`${seconds} ${storedBytes}\n`);
}

interface Pair {
  deflate: (piece: Buffer, level: number) => Buffer;
  /** The checksum is checked. */
  inflate: (stream: Buffer) => Buffer;
}

/** As members are made and read, without their frames. */
function ours(): Pair {
  const container = gzipContainer();
  return {
    deflate: (piece, level) => container.compress(piece, level),
    inflate: (stream) => container.decompress(stream, GZIP_HEADER, PIECE),
  };
}

/** With memory that is used again, as fast as Node's zlib can be. */
function zlibs(): Pair {
  const compress = createCompressor(createGzip, gzipSync, constants.Z_FINISH);
  const decompress = createDecompressor(createGunzip, gunzipSync, constants.Z_FINISH);
  return {
    deflate: (piece, level) => compress(piece, { level, memLevel: 9 }),
    inflate: (stream) => decompress(stream, PIECE),
  };
}

function readPieces(path: string): Buffer[] {
  const file = openSync(path, 'r');
  const pieces: Buffer[] = [];
  const { size } = fstatSync(file);
  for (let at = 0; at + PIECE <= size; at += STRIDE * PIECE) {
    const piece = Buffer.alloc(PIECE);
    readSync(file, piece, 0, PIECE, at);
    pieces.push(piece);
  }
  closeSync(file);
  return pieces;
}

function copy(bytes: Buffer): Buffer {
  return Buffer.from(bytes);
}
