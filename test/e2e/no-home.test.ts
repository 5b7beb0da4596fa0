/** A user who is a number alone, without an entry in /etc/passwd and without HOME: OpenShift, `docker run -u`, `env -i`. */
import { chmodSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isRoot } from '../support/user.ts';
import { expectExit, makeNpmProject, useSandbox, wipe } from './support.ts';

const USER = { uid: 54_321, gid: 54_321 };
const sandbox = useSandbox();

describe.skipIf(!isRoot())('a user without a home (takes root to become one)', () => {
  it.each(['local', 'S3'])('restores from a %s cache', async (place) => {
    makeNpmProject(sandbox.project);
    const local = { CACHE_S3_BUCKET: undefined, CACHE_LOCAL_DIR: join(sandbox.folder, 'store') };
    const env = place === 'S3' ? {} : local;
    expectExit(await sandbox.run(['save', 'npm'], { env }), 0);
    wipe(sandbox.project, 'node_modules');
    for (const dir of [sandbox.folder, sandbox.project]) chmodSync(dir, 0o777);
    const homeless = { ...env, HOME: undefined, TMPDIR: tmpdir() };
    const result = expectExit(await sandbox.run(['restore', 'npm'], { env: homeless, user: USER }), 0);
    expect(result.stderr).toBe('');
    expect(result.stdout).toMatch(new RegExp(`^Node packages restored from ${place} cache`));
    expect(existsSync(join(sandbox.project, 'node_modules/one/index.js'))).toBe(true);
  });
});
