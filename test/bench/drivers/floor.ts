/**
 * The floor: how fast can N processes create these files when their bytes are in memory already and nothing is inflated
 * or checked? Each of N children reads its share of the tree, waits, and then makes its directories and files with the
 * calls that we use. Prints the seconds between the start signal and the last child's end.
 * `floor.js <tree> <new directory> <processes>`
 */
import { fork, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeSync,
  type Stats,
} from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

interface Leaf {
  path: string;
  stats: Stats;
  /** A file's bytes or a link's target. */
  content: Buffer | string;
}

const [tree = '', target = '', processes = '1', share] = process.argv.slice(2);
if (share === undefined) await conduct(Number(processes));
else await createShare(Number(share), Number(processes));

async function conduct(count: number): Promise<void> {
  const self = fileURLToPath(import.meta.url);
  mkdirSync(target);
  const children = Array.from({ length: count }, (_, index) =>
    fork(self, [tree, target, String(count), String(index)]),
  );
  await Promise.all(children.map((child) => once(child, 'message')));
  const start = process.hrtime.bigint();
  const ends = children.map(ended);
  for (const child of children) child.send('go');
  await Promise.all(ends);
  process.stdout.write(`${Number(process.hrtime.bigint() - start) / 1e9}\n`);
}

async function ended(child: ChildProcess): Promise<void> {
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`a child ended with ${code}`);
}

async function createShare(index: number, count: number): Promise<void> {
  process.umask(0);
  const directories: string[] = [];
  const leaves: Leaf[] = [];
  collect('', directories, leaves);
  const size = Math.ceil(leaves.length / count);
  const mine = leaves.slice(index * size, (index + 1) * size);
  for (const leaf of mine) leaf.content = read(leaf);
  process.send?.('ready');
  await once(process, 'message');
  create(directories, mine);
  process.disconnect();
}

function collect(path: string, directories: string[], leaves: Leaf[]): void {
  directories.push(path);
  for (const name of readdirSync(join(tree, path)).sort()) {
    const child = join(path, name);
    const stats = lstatSync(join(tree, child));
    if (stats.isDirectory()) collect(child, directories, leaves);
    else leaves.push({ path: child, stats, content: '' });
  }
}

function read({ path, stats }: Leaf): Buffer | string {
  return stats.isSymbolicLink() ? readlinkSync(join(tree, path)) : readFileSync(join(tree, path));
}

function create(directories: readonly string[], leaves: readonly Leaf[]): void {
  const needed = new Set(leaves.map(({ path }) => join(path, '..')));
  for (const directory of directories)
    if (needed.has(directory === '' ? '.' : directory))
      mkdirSync(join(target, directory), { recursive: true });
  for (const { path, stats, content } of leaves) {
    if (typeof content === 'string') {
      symlinkSync(content, join(target, path));
      continue;
    }
    const file = openSync(join(target, path), 'wx', stats.mode & 0o777);
    if (content.length > 0) writeSync(file, content);
    futimesSync(file, stats.atimeMs / 1000, stats.mtimeMs / 1000);
    closeSync(file);
  }
}
