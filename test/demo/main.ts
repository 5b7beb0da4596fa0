/**
 * The demo: this project's own node_modules goes to an S3 server and comes back, through the built command. The server
 * runs in this process; nothing leaves the machine, and the project's tree is only read, but for the receipt of the save.
 */
import { spawn } from 'node:child_process';
import { cpSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatCount } from '../../src/text/counted.ts';
import { formatSeconds, formatTable } from '../../src/report/format.ts';
import { formatBytes } from '../../src/text/format-bytes.ts';
import { startS3Server } from '../support/s3-server.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cli = join(root, 'bin', 'sandbox-cache.js');
const server = await startS3Server({ buckets: ['demo-bucket'] });
const scratch = mkdtempSync(join(tmpdir(), 'sandbox-cache-demo-'));

try {
  const env = {
    PATH: process.env['PATH'],
    HOME: scratch,
    CACHE_S3_BUCKET: 'demo-bucket',
    ...server.environment,
  };
  const home = join(scratch, 'project');
  // A project just cloned: the lockfile is there, node_modules is not.
  for (const file of ['package.json', 'package-lock.json'])
    cpSync(join(root, file), join(home, file), { recursive: true });

  say(`An S3 server listens at ${server.endpoint}. A fresh clone of this project has no node_modules.`);
  await show('Its key is made of the lockfile and the runtime', ['key', 'npm'], { cwd: home, env });
  const miss = await show(
    'The cache has nothing yet: exit 1, install then',
    ['restore', 'npm', '-v'],
    { cwd: home, env },
    1,
  );
  const saved = await show('Where it is installed, it is saved', ['save', 'npm', '-v'], { cwd: root, env });
  const hit = await show(
    'The fresh clone again: a hit, checked byte by byte and verified',
    ['restore', 'npm', '-v'],
    { cwd: home, env },
  );
  const again = await show('Once more: the receipt says that it is all there', ['restore', 'npm'], {
    cwd: home,
    env,
  });
  await show('What the bucket holds', ['list'], { cwd: home, env });

  const original = measure(join(root, 'node_modules'));
  const restored = measure(join(home, 'node_modules'));
  if (restored.files < original.files * 0.9)
    throw new Error(`${restored.files} of ${original.files} files came back`);
  const stored = [...server.bucket('demo-bucket').objects.values()].reduce(
    (sum, object) => sum + object.size,
    0,
  );
  say('\nIn figures:');
  console.log(
    formatTable(
      [
        ['', 'TIME', 'BYTES', 'FILES'],
        ['miss', formatSeconds(miss), '', ''],
        [
          'save',
          formatSeconds(saved),
          `${formatBytes(original.bytes)} -> ${formatBytes(stored)}`,
          formatCount(original.files),
        ],
        [
          'restore',
          formatSeconds(hit),
          `${formatBytes(stored)} -> ${formatBytes(restored.bytes)}`,
          formatCount(restored.files),
        ],
        ['restore, in place', formatSeconds(again), '', ''],
      ],
      [1, 2, 3],
    ),
  );
} finally {
  await server.close();
  rmSync(scratch, { recursive: true, force: true });
}

/** Runs one command line and shows it with all that it prints. @returns wall seconds */
async function show(
  what: string,
  args: string[],
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
  expected = 0,
): Promise<number> {
  say(`\n# ${what}\n$ sandbox-cache ${args.join(' ')}`);
  const began = performance.now();
  const child = spawn(process.execPath, [cli, ...args], {
    cwd,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  if (status !== expected) throw new Error(`sandbox-cache ${args.join(' ')} ended with ${String(status)}`);
  return (performance.now() - began) / 1000;
}

function measure(dir: string): { bytes: number; files: number } {
  let bytes = 0;
  let files = 0;
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    files++;
    if (entry.isFile()) bytes += lstatSync(join(entry.parentPath, entry.name)).size;
  }
  return { bytes, files };
}

function say(text: string): void {
  console.log(text);
}
