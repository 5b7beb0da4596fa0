/** A user who is a number alone, without an entry in /etc/passwd and without HOME: OpenShift, `docker run -u`, `env -i`. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CLI } from '../support/cli.ts';
import { isRoot } from '../support/user.ts';
import { expectExit, makeNpmProject, useSandbox, wipe } from './support.ts';

const USER = 54_321;
const sandbox = useSandbox();

describe.skipIf(!isRoot())('a user without a home (takes root to become one)', () => {
  it.each(['local', 'S3'])('restores from a %s cache', async (place) => {
    makeNpmProject(sandbox.project);
    const local = { CACHE_LOCAL_DIR: join(sandbox.folder, 'store') };
    const env = { PATH: process.env['PATH'], ...(place === 'S3' ? sandbox.env : local) };
    expectExit(await sandbox.run(['save', 'npm'], { env: { CACHE_S3_BUCKET: undefined, ...env } }), 0);
    wipe(sandbox.project, 'node_modules');
    for (const dir of [sandbox.folder, sandbox.project]) chmodSync(dir, 0o777);
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'restore', 'npm'], {
      cwd: sandbox.project,
      env,
      uid: USER,
      gid: USER,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^Node packages restored from ${place} cache`));
    expect(existsSync(join(sandbox.project, 'node_modules/one/index.js'))).toBe(true);
  });
});
