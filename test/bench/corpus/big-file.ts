import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CorpusSource } from './corpus.ts';

const BIG_BYTES = 1_000_000_000;
const TINY_FILES = 20_000;
const FILES_A_DIRECTORY = 200;
const CHUNK_BYTES = 1_000_000;

/** B: the two ends of the scale at once. The bytes are an AES keystream: incompressible, and the same every time. */
export const bigFileCorpus: CorpusSource = {
  name: 'B',
  title: 'one incompressible file of 1 GB and 20,000 tiny ones',
  version: '1',
  roots: ['blobs'],
  lockfiles: ['blobs.lock'],
  recipe: ['blobs', '--lockfile', 'blobs.lock', '--path', 'blobs'],
  async make(dir) {
    await writeFile(join(dir, 'blobs.lock'), 'blobs 1\n');
    await mkdir(join(dir, 'blobs'));
    const stream = keystream('sandbox-cache corpus B');
    const file = await open(join(dir, 'blobs/big.bin'), 'w');
    for (let at = 0; at < BIG_BYTES; at += CHUNK_BYTES) await file.write(stream(CHUNK_BYTES));
    await file.close();
    for (let index = 0; index < TINY_FILES; index++) {
      const folder = join(dir, 'blobs', `d${Math.floor(index / FILES_A_DIRECTORY)}`);
      if (index % FILES_A_DIRECTORY === 0) await mkdir(folder);
      const bytes = stream(2).readUInt16LE() % 600;
      await writeFile(join(folder, `tiny-${index}.txt`), stream(bytes).toString('base64').slice(0, bytes));
    }
  },
};

function keystream(seed: string): (bytes: number) => Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  return (bytes) => cipher.update(Buffer.alloc(bytes));
}
