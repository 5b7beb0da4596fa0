/** Who calls us decides what a signal means: a shell script, `nohup`, a container whose first process we are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { CLI, startProcess, type RunningCli } from '../support/cli.ts';
import { lacks } from '../support/programs.ts';
import { isRoot } from '../support/user.ts';
import { DEPS, expectExit, makeProject, useSandbox, writeFiles } from './support.ts';

const sandbox = useSandbox();
const RESTORE = `${process.execPath} ${CLI} restore ${DEPS.join(' ')}`;

let release: () => void;
let lookups: number;
beforeEach(() => {
  makeProject(sandbox.project);
  lookups = 0;
  const released = new Promise<void>((resolve) => (release = resolve));
  sandbox.server.faults.add({
    match: ({ operation }) => operation === 'GetObject',
    effect: { type: 'before', run: () => (lookups++, released) },
  });
});

/** A bash script, once the restore in it waits for an answer that does not come before `release`. */
async function held(script: string): Promise<RunningCli> {
  const running = await startProcess('bash', ['-c', script], { cwd: sandbox.project, env: sandbox.env });
  await expect.poll(() => lookups, { timeout: 20_000 }).toBe(1);
  return running;
}

it('Ctrl-C stops the script that called us, too', async () => {
  const running = await held(`${RESTORE}; echo went on`);
  // To the whole group, as a terminal sends it. A shell goes on when its child has handled the signal itself.
  process.kill(-running.child.pid!, 'SIGINT');
  const result = await running.done;
  expect([result.signal, result.stdout]).toEqual(['SIGINT', '']);
});

it.each([
  ['nohup', `nohup ${RESTORE} & echo $! >pid; wait $!`],
  ['a script that ignores it', `trap '' HUP; ${RESTORE} & echo $! >pid; wait $!`],
])('SIGHUP is ignored under %s', async (_, script) => {
  const running = await held(script);
  process.kill(Number(readFileSync(join(sandbox.project, 'pid'), 'utf8')), 'SIGHUP');
  release();
  // It ends as it would have: with a miss.
  expectExit(await running.done, 1);
});

// dash tells nothing of `nohup` in the environment. At a terminal, its file does.
it.skipIf(lacks('dash', 'script'))('SIGHUP is ignored under nohup from dash, at a terminal', async () => {
  writeFiles(sandbox.folder, { 'run.sh': `nohup ${RESTORE} & echo $! >pid; wait $!\n` });
  const running = await held(`exec script -qec 'dash ${sandbox.folder}/run.sh' /dev/null`);
  process.kill(Number(readFileSync(join(sandbox.project, 'pid'), 'utf8')), 'SIGHUP');
  release();
  expectExit(await running.done, 1);
  expect(readFileSync(join(sandbox.project, 'nohup.out'), 'utf8')).toContain('not in the cache');
});

it.skipIf(!isRoot()).each([
  ['SIGINT', 130],
  ['SIGHUP', 129],
  ['SIGTERM', 143],
] as const)('%s ends the first process of a container with %i', async (name, code) => {
  const running = await held(`exec unshare --pid --fork --kill-child --mount-proc ${RESTORE}`);
  // Its pid out here.
  const { pid } = running.child;
  const inside = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
  process.kill(inside, name);
  expectExit(await running.done, code);
});
