import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { createOutput } from '../../src/report/output.ts';

const unused = (): never => {
  throw new Error('no stream is needed');
};

it('writes to the descriptor, in order, without a stream', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'output-'));
  const fd = openSync(join(dir, 'file'), 'w');
  const output = createOutput(fd, unused);
  output.write('one\n');
  output.write('two ü\n');
  await output.drained();
  expect(readFileSync(join(dir, 'file'), 'utf8')).toBe('one\ntwo ü\n');
  closeSync(fd);
  rmSync(dir, { recursive: true });
});

/** A pipe in the file system; `flags` open its end for writing once it has a reader. */
function openPipe(dir: string, flags: number): { reader: number; writer: number } {
  const path = join(dir, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { reader, writer: openSync(path, flags) };
}

it('takes a reader that went away, and a closed descriptor, for no failure', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'output-'));
  const { reader, writer } = openPipe(dir, constants.O_WRONLY);
  closeSync(reader);
  for (const fd of [writer, 9999]) {
    const output = createOutput(fd, unused);
    output.write('nobody reads this\n');
    await output.drained();
    expect(output.failure).toBeUndefined();
  }
  closeSync(writer);
  rmSync(dir, { recursive: true });
});

it('goes on with the stream where the descriptor does not wait', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'output-'));
  const { reader, writer } = openPipe(dir, constants.O_WRONLY | constants.O_NONBLOCK);
  const stream = new PassThrough();
  const rest = text(stream);
  const output = createOutput(writer, () => stream);
  const most = 'x'.repeat(1 << 20);
  output.write(most);
  output.write('the end');
  await output.drained();
  stream.end();
  const piped = Buffer.alloc(1 << 20);
  const length = readSync(reader, piped);
  expect(length).toBeGreaterThan(0);
  expect(piped.toString('latin1', 0, length) + (await rest)).toBe(`${most}the end`);
  closeSync(reader);
  closeSync(writer);
  rmSync(dir, { recursive: true });
});

it.skipIf(!existsSync('/dev/full'))('keeps the first failure that is one, and goes on', async () => {
  const fd = openSync('/dev/full', 'w');
  const output = createOutput(fd, unused);
  expect(output.failure).toBeUndefined();
  output.write('lost');
  await output.drained();
  expect(output.failure).toMatchObject({ code: 'ENOSPC' });
  closeSync(fd);
});
