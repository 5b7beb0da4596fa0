/**
 * `inspect` refuses what `restore` refuses, with the same code, and both say of which archive they speak. That it does so for
 * every kind of hostile and damaged archive is for test/archive to hold.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { partsOf } from '../archive/damage.ts';
import { DEPS, expectExit, makeProject, type RunOptions, useSandbox, wipe } from './support.ts';

const sandbox = useSandbox();

/** An archive of GNU tar in place of the entry. */
async function place(make: string): Promise<string> {
  makeProject(sandbox.project);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  const { key } = sandbox;
  const body = execFileSync('bash', ['-c', make], { cwd: sandbox.project, maxBuffer: 1e9 });
  sandbox.server.place(sandbox.bucket, { key, body });
  wipe(sandbox.project, 'deps');
  return key;
}

/** All three refuse the entry with the code, and say which it is. */
async function expectRefused(code: string, env: NonNullable<RunOptions['env']> = {}): Promise<void> {
  const { key } = sandbox;
  for (const command of [
    ['inspect', key],
    ['inspect', ...DEPS],
    ['restore', ...DEPS],
  ]) {
    const { stderr } = expectExit(await sandbox.run(command, { env }), 3);
    expect(stderr, command.join(' ')).toMatch(new RegExp(`\\[${code}\\]$`, 'm'));
    expect(stderr).toContain(`(${key})`);
  }
  expect(existsSync(join(sandbox.project, 'deps'))).toBe(false);
}

async function saved(lock = 'one\n'): Promise<Buffer> {
  makeProject(sandbox.project, { lock });
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  wipe(sandbox.project, 'deps');
  return Buffer.from(sandbox.server.read(sandbox.bucket, sandbox.key)!);
}

it.each([
  ['a name that leads out', "tar -czPf - --transform 's,deps.lock,../out,' deps deps.lock"],
  ['an absolute name', "tar -czPf - --transform 's,deps.lock,/tmp/out,' deps deps.lock"],
  ['a name twice', 'tar -czf - deps/empty.txt deps/empty.txt --hard-dereference deps'],
  [
    'a hard link to a file that is missing',
    'ln deps/empty.txt deps/hard; tar -cf - deps/empty.txt deps/hard | tar -f - --delete deps/empty.txt | gzip',
  ],
])('%s', async (_, make) => {
  await place(make);
  await expectRefused('ARCHIVE_REFUSED');
});

it('a name outside the directories of the recipe, where the recipe is given', async () => {
  const key = await place('tar -czf - deps deps.lock');
  for (const command of ['inspect', 'restore'])
    expect(expectExit(await sandbox.run([command, ...DEPS]), 3).stderr).toMatch(/\[ARCHIVE_REFUSED\]$/m);
  expect(expectExit(await sandbox.run(['inspect', key]), 0).stdout).toContain('deps.lock');
});

it('members that index and trailer do not have', async () => {
  const parts = await partsOf(await saved(), 'gzip');
  sandbox.alter(() => Buffer.concat(parts.slice(1)));
  await expectRefused('ARCHIVE_CORRUPT');
});

it('an archive of another lockfile', async () => {
  const other = await saved();
  sandbox.server.bucket(sandbox.bucket).objects.clear();
  await saved('two\n');
  sandbox.alter(() => other);
  await expectRefused('ARCHIVE_MISMATCH');
});

it('an archive that nobody has signed, where a signature is asked for', async () => {
  await saved();
  const pair = join(sandbox.folder, 'pair');
  expectExit(await sandbox.run(['keygen', pair]), 0);
  await expectRefused('ARCHIVE_UNTRUSTED', { CACHE_VERIFY_KEY: `${pair}.pub` });
});

it('what others wrote in place of an archive of ours', async () => {
  await saved();
  makeProject(sandbox.project);
  const foreign = execFileSync('tar', ['-czf', '-', 'deps'], { cwd: sandbox.project });
  wipe(sandbox.project, 'deps');
  sandbox.alter(() => foreign);
  await expectRefused('ARCHIVE_CORRUPT');
});

it.each([
  ['CACHE_MAX_FILES', '2'],
  ['CACHE_MAX_BYTES', '1KB'],
])('more than %s', async (name, value) => {
  await saved();
  await expectRefused('ARCHIVE_LIMIT', { [name]: value });
});

it('a tar without its last blocks, as some programs leave it, is listed and restored', async () => {
  const key = await place('tar -cf - -b 1 deps | head -c -1024 | gzip');
  expect(expectExit(await sandbox.run(['inspect', key]), 0).stdout).toContain('deps/tool/run.sh');
  expectExit(await sandbox.run(['restore', ...DEPS]), 0);
  expect(existsSync(join(sandbox.project, 'deps/tool/run.sh'))).toBe(true);
});
