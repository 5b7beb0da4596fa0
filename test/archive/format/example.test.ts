/** The example of docs/archive-format.md is an archive: what the document says is what we read. */
import { readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { snapshotTree } from '../../support/tree.ts';
import { packBytes } from '../packing.ts';
import { ROOT, temporaryDir, unpackBytes } from '../unpacking.ts';

const SEAL = {
  keyDigest: '3f1c9a0b7d2e4f65'.repeat(4),
  recipe: 'npm',
  runtime: 'linux-x64-node115',
  installSeconds: 12.5,
};
const MTIME_US = '1714979289123456';

it('restores the documented bytes to the documented tree, and packs that tree to them', async () => {
  const bytes = exampleBytes();
  const dir = temporaryDir();
  const summary = await unpackBytes(bytes, {
    compression: 'gzip',
    dir: join(dir, ROOT),
    mustBeOurs: true,
    expected: SEAL,
  });
  expect(summary).toMatchObject({ isOurs: true, files: 2, bytes: 2560, installSeconds: 12.5 });
  expect(snapshotTree(dir)).toEqual({
    [ROOT]: { type: 'directory', mode: '755', mtimeUs: MTIME_US },
    [`${ROOT}/one.js`]: {
      type: 'file',
      mode: '644',
      mtimeUs: MTIME_US,
      size: 20,
      sha256: expect.any(String),
    },
  });
  expect(readFileSync(join(dir, ROOT, 'one.js'), 'utf8')).toBe('module.exports = 1;\n');

  // Another Node's zlib may deflate otherwise; the length of the tar stays.
  utimesSync(join(dir, ROOT), 1_714_979_289.123456, 1_714_979_289.123456);
  const again = await packBytes({ dir, seal: SEAL });
  expect(again.subarray(0, 18)).toEqual(bytes.subarray(0, 18));
  expect(again.subarray(-98)).toEqual(bytes.subarray(-98));
});

/** From the hex dump, in which `*` stands for lines like the one above. */
function exampleBytes(): Buffer {
  const text = readFileSync(new URL('../../../docs/archive-format.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^([0-9a-f]{4}) {2}((?:[0-9a-f]{2} ){1,16})/gm)];
  const last = rows.at(-1)!;
  const bytes = Buffer.alloc(parseInt(last[1]!, 16) + hex(last[2]!).length);
  rows.forEach((row, n) => {
    const next = rows[n + 1];
    const end = next === undefined ? bytes.length : parseInt(next[1]!, 16);
    for (let at = parseInt(row[1]!, 16); at < end; at += 16) hex(row[2]!).copy(bytes, at);
  });
  return bytes;
}

function hex(row: string): Buffer {
  return Buffer.from(row.replaceAll(' ', ''), 'hex');
}
