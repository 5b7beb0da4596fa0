/** A machine that cannot do the work says so; the entry is neither noted nor replaced nor deleted for it. */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { CliResult } from '../support/cli.ts';
import { DEPS, expectExit, makeNpmProject, makeProject, treeOf, useSandbox, wipe } from './support.ts';

const FEW_ADDRESSES = 'ulimit -v 4000000';
/** Node 24 falls back to a memory without guard pages. */
const reservesAddresses =
  spawnSync('bash', [
    '-c',
    `${FEW_ADDRESSES}; "$0" -e 'new WebAssembly.Memory({ initial: 1 })'`,
    process.execPath,
  ]).status !== 0;
const deps = DEPS.join(' ');
const NOBODY = 54_321;

const sandbox = useSandbox();
const env = () => ({ CACHE_S3_BUCKET: undefined, CACHE_LOCAL_DIR: join(sandbox.folder, 'store') });
const entry = (): { name: string; written: number } => {
  const dir = join(sandbox.folder, 'store/claude-sandbox-cache');
  const [name] = readdirSync(dir).filter((file) => file.endsWith('.tar.gz'));
  return { name: name!, written: statSync(join(dir, name!)).mtimeMs };
};
const run = (script: string): Promise<CliResult> => sandbox.script(script, { env: env() });

beforeEach(async () => {
  makeProject(sandbox.project);
  expectExit(await run(`sandbox-cache save ${deps}`), 0);
});

describe.each([
  ['too little address space', FEW_ADDRESSES, 'OUT_OF_MEMORY', 3, reservesAddresses],
  ['a Node without WebAssembly', 'export NODE_OPTIONS=--jitless', 'CONFIG_INVALID', 2, true],
])('%s', (_, limit, code, status, happens) => {
  it.runIf(happens)('stops a restore, and the entry is not at fault', async () => {
    const before = entry();
    wipe(sandbox.project, 'deps');
    const result = await run(`${limit}; sandbox-cache restore ${deps} --evict`);
    expect(expectExit(result, status).stderr).toMatch(
      new RegExp(`^\\[cache\\] error: .* \\[${code}\\]$`, 'm'),
    );
    expect(sandbox.notes).toEqual([]);

    makeProject(sandbox.project);
    expect(expectExit(await run(`sandbox-cache save ${deps}`), 0).stdout).toMatch(/^deps already cached/);
    expect(entry()).toEqual(before);
  });

  it.runIf(happens)('stops a save and an inspection', async () => {
    for (const command of [`save --force ${deps}`, `inspect ${entry().name}`]) {
      const result = await run(`${limit}; sandbox-cache ${command}`);
      expect(expectExit(result, status).stderr).toMatch(
        new RegExp(`^\\[cache\\] error: .* \\[${code}\\]$`, 'm'),
      );
    }
  });
});

// Node 22 loads WebAssembly of its own with all that node:http exports, and ended as on a miss.
it.runIf(reservesAddresses)('too little address space is told with S3, too', async () => {
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  wipe(sandbox.project, 'deps');
  const result = await sandbox.script(`${FEW_ADDRESSES}; sandbox-cache restore ${deps}`);
  expect(expectExit(result, 3).stderr).toMatch(/^\[cache\] error: .* \[OUT_OF_MEMORY\]\n$/);
  expect(sandbox.notes).toEqual([]);
});

// Elsewhere nobody is given that hint, and a thread more may be all that there is no room for.
it.runIf(reservesAddresses)('with too little address space, what the hint names helps', async () => {
  const before = treeOf(join(sandbox.project, 'deps'));
  wipe(sandbox.project, 'deps');
  const option = 'NODE_OPTIONS=--disable-wasm-trap-handler';
  expectExit(await run(`${FEW_ADDRESSES}; ${option} sandbox-cache restore ${deps}`), 0);
  expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
});

it.runIf(process.getuid?.() === 0)(
  'too few threads: told as such, and the entry is not at fault',
  async () => {
    const before = entry();
    wipe(sandbox.project, 'deps');
    for (const path of [sandbox.folder, sandbox.project]) chmodSync(path, 0o755);
    chownSync(sandbox.project, NOBODY, NOBODY);
    const user = `setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups`;
    const command = `ulimit -u 20; exec sandbox-cache restore ${deps}`;
    const result = await run(`CACHE_WORKERS=64 CACHE_READONLY=true ${user} bash -c '${command}'`);
    expect(expectExit(result, 3).stderr).toMatch(
      /^\[cache\] error: A worker thread cannot be started .* \[WORKER_DIED\]$/m,
    );
    expect(sandbox.notes).toEqual([]);
    expect(entry()).toEqual(before);
  },
);

it('too few open files: told as such, and never as a fault of a lockfile', async () => {
  makeNpmProject(sandbox.project);
  const told: string[] = [];
  // Below, Node does not start; above, there are enough. Where that is differs between versions of Node.
  for (let limit = 18; limit < 40; limit++)
    told.push((await run(`ulimit -n ${limit}; sandbox-cache restore npm`)).stderr);
  const ours = told.filter((text) => text.includes('[cache] error: '));
  expect(ours.length).toBeGreaterThan(0);
  for (const text of ours)
    expect(text).toMatch(/(too many .*files|EMFILE).* Raise the limit \(ulimit -n\)\. \[\w+\]$/im);
});
