/** `inspect` refuses the names that `restore` refuses, and both say of which archive they speak. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DEPS, expectExit, makeProject, useSandbox, wipe } from './support.ts';

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

it.each([
  ['a name that leads out', "tar -czPf - --transform 's,deps.lock,../out,' deps deps.lock"],
  ['an absolute name', "tar -czPf - --transform 's,deps.lock,/tmp/out,' deps deps.lock"],
  ['a name twice', 'tar -czf - deps/empty.txt deps/empty.txt --hard-dereference deps'],
])('%s', async (_, make) => {
  const key = await place(make);
  for (const command of [
    ['inspect', key],
    ['restore', ...DEPS],
  ]) {
    const { stderr } = expectExit(await sandbox.run(command), 3);
    expect(stderr).toMatch(/\[ARCHIVE_REFUSED\]$/m);
    expect(stderr).toContain(`(${key})`);
  }
  expect(existsSync(join(sandbox.project, 'deps'))).toBe(false);
});

it('a tar without its last blocks, as some programs leave it, is listed and restored', async () => {
  const key = await place('tar -cf - -b 1 deps | head -c -1024 | gzip');
  expect(expectExit(await sandbox.run(['inspect', key]), 0).stdout).toContain('deps/tool/run.sh');
  expectExit(await sandbox.run(['restore', ...DEPS]), 0);
  expect(existsSync(join(sandbox.project, 'deps/tool/run.sh'))).toBe(true);
});
