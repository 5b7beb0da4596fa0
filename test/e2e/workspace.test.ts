/** What stands in the way of a restore, and what a checkout may not bring along. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { debris, DEPS, expectExit, makeProject, treeOf, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();

it('a file that is larger than ulimit -f: told so, the old tree stays', async () => {
  makeProject(sandbox.project, { bigBytes: 2_000_000 });
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  rmSync(join(sandbox.project, 'deps/big.bin'));
  wipe(sandbox.project, 'deps/.sandbox-cache-receipt.json');
  const before = treeOf(join(sandbox.project, 'deps'));
  const result = expectExit(
    await sandbox.script(`ulimit -f 1000; sandbox-cache restore ${DEPS.join(' ')}`),
    3,
  );
  expect(result.stderr).toMatch(
    /^\[cache\] error: Cannot write .*big\.bin.*EFBIG.*ulimit -f.* \[TARGET_UNWRITABLE\]$/m,
  );
  expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
  expect(debris(sandbox.project)).toEqual([]);
});

it('a file in place of the target: a miss is a miss, a hit refuses it by its name', async () => {
  writeFiles(sandbox.project, { 'deps.lock': 'one\n', deps: 'a file' });
  expectExit(await sandbox.run(['restore', ...DEPS]), 1);
  rmSync(join(sandbox.project, 'deps'));
  makeProject(sandbox.project);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  wipe(sandbox.project, 'deps');
  writeFileSync(join(sandbox.project, 'deps'), 'a file');
  const result = expectExit(await sandbox.run(['restore', ...DEPS]), 3);
  expect(result.stderr).toMatch(/\/deps is not a directory\. .* \[TARGET_REFUSED\]$/m);
});

it('a note of a faulty entry that comes with a checkout does not let a save replace the entry', async () => {
  makeProject(sandbox.project);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  const note = JSON.stringify({ key: sandbox.key, etag: sandbox.etag, reason: 'forged' });
  makeProject(sandbox.project, { bigBytes: 1000 });
  // Where a project's own temporary directory is committed.
  const notesDir = `tmp/sandbox-cache-${process.geteuid?.()}`;
  writeFiles(sandbox.project, {
    '.sandbox-cache-rejected-deps.json': note,
    [`${notesDir}/.sandbox-cache-rejected-deps.json`]: note,
  });
  const before = sandbox.etag;
  const env = { TMPDIR: join(sandbox.project, 'tmp') };
  expect(expectExit(await sandbox.run(['save', ...DEPS], { env }), 0).stdout).toMatch(/already/);
  expect(sandbox.etag).toBe(before);
});
