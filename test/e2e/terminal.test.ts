/** An installer at a terminal: it may ask, and Ctrl-Z stops it together with us. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CLI } from '../support/cli.ts';
import { DEPS, makeProject, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();

/** `ensure` with an installer, on a terminal of its own; what is typed comes from stdin. */
function atTerminal(installer: string): {
  type(text: string): void;
  printed(text: string): Promise<void>;
  ended: Promise<number | null>;
} {
  makeProject(sandbox.project);
  wipe(sandbox.project, 'deps');
  writeFiles(sandbox.project, { 'install.sh': `#!/bin/sh\n${installer}\n` });
  const command = `${process.execPath} ${CLI} ensure ${DEPS.join(' ')} -- ./install.sh`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    cwd: sandbox.project,
    env: { PATH: process.env['PATH'], HOME: sandbox.folder, TMPDIR: sandbox.folder, ...sandbox.env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  return {
    type: (text) => void child.stdin.write(text),
    printed: (text) => expect.poll(() => output, { timeout: 20_000 }).toContain(text),
    ended: new Promise((resolve) => child.once('close', resolve)),
  };
}

it('may ask on the terminal, and on stdin', async () => {
  const terminal = atTerminal(
    'mkdir deps; printf "who? " >/dev/tty; read a </dev/tty; printf "why? "; read b; echo "$a $b" >deps/answer',
  );
  await terminal.printed('who?');
  terminal.type('me\n');
  await terminal.printed('why?');
  terminal.type('because\n');
  expect(await terminal.ended).toBe(0);
  expect(readFileSync(join(sandbox.project, 'deps/answer'), 'utf8')).toBe('me because\n');
});

it('is in our process group, which the terminal stops and continues as one', async () => {
  const terminal = atTerminal('mkdir deps; ps -o pgid= -p $$ -p $PPID | sort -u | wc -l >deps/groups');
  expect(await terminal.ended).toBe(0);
  expect(readFileSync(join(sandbox.project, 'deps/groups'), 'utf8').trim()).toBe('1');
});

it('is ended with what it has started', async () => {
  const script =
    "echo $PPID >parent; sleep 100 & sleep 100 & echo $! >child; echo begun; trap '' TERM; wait; wait";
  const terminal = atTerminal(script);
  await terminal.printed('begun');
  process.kill(Number(readFileSync(join(sandbox.project, 'parent'), 'utf8')), 'SIGTERM');
  expect(await terminal.ended).toBe(143);
  const child = Number(readFileSync(join(sandbox.project, 'child'), 'utf8'));
  expect(() => process.kill(child, 0)).toThrow('ESRCH');
});
