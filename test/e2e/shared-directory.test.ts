/** A directory that several users share, and that holds what is not ours: through the built command. */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { type CliResult, DEPS, expectExit, makeProject, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();
const isRoot = process.getuid?.() === 0;
const ROOT = { uid: 0, gid: 0 };
const NOBODY = { uid: 65_534, gid: 65_534 };
const GROUP = 2000;
const ANNE = { uid: 1001, gid: GROUP };
const BERT = { uid: 1002, gid: GROUP };

type User = typeof ROOT;

const store = (): string => join(sandbox.folder, 'store');

function makeStore(mode: number, owner: User = ROOT): void {
  chmodSync(sandbox.folder, 0o755);
  mkdirSync(store());
  chownSync(store(), owner.uid, owner.gid);
  chmodSync(store(), mode);
}

/** Each user works in a project of their own. */
function as(user: User, ...args: string[]): Promise<CliResult> {
  const cwd = projectOf(user);
  const env = { CACHE_S3_BUCKET: undefined, CACHE_LOCAL_DIR: store(), ...environment };
  return sandbox.run(args, { cwd, home: `${cwd}.home`, env, user });
}

let environment: Record<string, string>;
beforeEach(() => void (environment = {}));

function projectOf(user: User, lock?: string): string {
  const dir = join(sandbox.folder, `of-${user.uid}`);
  if (lock !== undefined) {
    makeProject(dir, { lock });
    mkdirSync(`${dir}.home`, { recursive: true });
    for (const path of [dir, `${dir}.home`]) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, path]);
  }
  return dir;
}

describe.skipIf(!isRoot)('users who share a directory (takes root to become them)', () => {
  it.each([
    ['everybody’s (1777), root first', 0o1777, ROOT, [ROOT, NOBODY, ANNE]],
    ['everybody’s (1777), root last', 0o1777, ROOT, [ANNE, NOBODY, ROOT]],
    ['everybody’s, without the sticky bit', 0o777, ROOT, [ANNE, NOBODY, ROOT]],
    ['a group’s (2775)', 0o2775, { uid: 0, gid: GROUP }, [ANNE, BERT, ROOT]],
    ['a group’s, of one of its members', 0o2770, ANNE, [BERT, ANNE]],
  ])('%s: each saves, each restores what another saved', async (_, mode, owner, users) => {
    makeStore(mode, owner);
    const umask = process.umask(0o077);
    try {
      for (const [n, user] of users.entries()) {
        projectOf(user, `lock ${n}\n`);
        expect(expectExit(await as(user, 'save', ...DEPS), 0).stderr).toBe('');
      }
    } finally {
      process.umask(umask);
    }
    for (const [n, user] of users.entries()) {
      projectOf(user, `lock ${(n + 1) % users.length}\n`);
      wipe(projectOf(user), 'deps');
      expect(expectExit(await as(user, 'restore', ...DEPS), 0).stdout).toMatch(/^deps restored from local/);
      expect(expectExit(await as(user, 'list'), 0).stdout).toMatch(
        new RegExp(`^${users.length} entries, `, 'm'),
      );
    }
  });

  it('where it cannot work, the error says how it can', async () => {
    makeStore(0o755);
    projectOf(ROOT, 'one\n');
    projectOf(NOBODY, 'two\n');
    expectExit(await as(ROOT, 'save', ...DEPS), 0);
    const result = expectExit(await as(NOBODY, 'save', ...DEPS), 3);
    expect(result.stderr).toMatch(
      /^\[cache\] error: Cannot write [^\n]* by a group: chgrp [^\n]* \[STORE_ACCESS_DENIED\]\n$/,
    );
    projectOf(NOBODY, 'one\n');
    wipe(projectOf(NOBODY), 'deps');
    expectExit(await as(NOBODY, 'restore', ...DEPS), 0);
  });

  it('with the sticky bit nobody deletes what others saved; whoever is over the limit is told', async () => {
    makeStore(0o1777);
    environment = { CACHE_LOCAL_MAX_SIZE: '1kB' };
    projectOf(ROOT, 'one\n');
    projectOf(NOBODY, 'two\n');
    expectExit(await as(ROOT, 'save', ...DEPS), 0);
    const saved = expectExit(await as(NOBODY, 'save', ...DEPS), 0);
    expect(saved.stderr).toContain('this user may not delete what others saved');
    expect(expectExit(await as(NOBODY, 'list'), 0).stdout).toMatch(/^2 entries, /m);
  });

  it('a folder that may not be read is passed over: save with its upkeep, list, prune and fallback', async () => {
    makeStore(0o777);
    for (const path of ['lost+found', 'claude-sandbox-cache/lost+found']) {
      mkdirSync(join(store(), path), { recursive: true });
      chmodSync(join(store(), path), 0o700);
    }
    chmodSync(join(store(), 'claude-sandbox-cache'), 0o777);
    projectOf(NOBODY, 'one\n');
    expect(expectExit(await as(NOBODY, 'save', ...DEPS), 0).stderr).toBe('');
    expect(expectExit(await as(NOBODY, 'list'), 0).stdout).toMatch(/^1 entry, /m);
    projectOf(NOBODY, 'two\n');
    wipe(projectOf(NOBODY), 'deps');
    const base = expectExit(await as(NOBODY, 'restore', ...DEPS, '--fallback'), 1);
    expect(base.stdout).toMatch(/^deps restored from an older entry as a base/);
    expectExit(await as(NOBODY, 'prune', '--older-than', '30d', '--keep', '1'), 0);
    expect(existsSync(join(store(), 'lost+found'))).toBe(true);
  });
});

describe('a directory that holds what is not ours', () => {
  const run = (args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> =>
    sandbox.run(args, { env: { CACHE_S3_BUCKET: undefined, CACHE_LOCAL_DIR: store(), ...env } });
  const place = (key: string): string => join(store(), key.trim());

  it('no file of others is deleted, nor counted', async () => {
    makeProject(sandbox.project);
    writeFiles(store(), { 'backups/database.dump': 'x'.repeat(3_000_000), '.bashrc': 'alias' });
    expectExit(await run(['save', ...DEPS], { CACHE_LOCAL_MAX_SIZE: '1MB' }), 0);
    makeProject(sandbox.project, { lock: 'two\n' });
    expectExit(await run(['save', ...DEPS], { CACHE_LOCAL_MAX_SIZE: '1MB' }), 0);
    expect(readdirSync(store(), { recursive: true })).toEqual(
      expect.arrayContaining(['backups/database.dump', '.bashrc']),
    );
    expect(expectExit(await run(['list']), 0).stdout).toMatch(/^2 entries, /m);
  });

  it.each(['restore', 'save', 'inspect'])(
    '%s: a FIFO under an entry’s name ends it at once',
    async (command) => {
      makeProject(sandbox.project);
      const key = (await run(['key', ...DEPS])).stdout;
      mkdirSync(join(store(), 'claude-sandbox-cache'), { recursive: true });
      execFileSync('mkfifo', [place(key)]);
      if (command === 'restore') wipe(sandbox.project, 'deps');
      const args = command === 'inspect' ? [command, key.trim()] : [command, ...DEPS];
      const result = expectExit(await run(args), 3);
      expect(result.stderr).toMatch(
        /^\[cache\] error: [^\n]* is not a regular file\. [^\n]* \[STORE_FAILED\]\n$/,
      );
    },
  );

  it('a FIFO in the place of what travels with an entry: it restores all the same', async () => {
    makeProject(sandbox.project);
    expectExit(await run(['save', ...DEPS]), 0);
    const folder = join(store(), '.sandbox-cache', 'entries');
    const [name = ''] = readdirSync(folder);
    rmSync(join(folder, name));
    execFileSync('mkfifo', [join(folder, name)]);
    wipe(sandbox.project, 'deps');
    expectExit(await run(['restore', ...DEPS]), 0);
  });

  it('a machine whose clock is two hours ahead deletes no unfinished file, and prunes nothing that is new', async () => {
    makeProject(sandbox.project);
    writeFiles(sandbox.folder, {
      'later.cjs': 'const now = Date.now; Date.now = () => now() + 2 * 3_600_000;',
    });
    const folder = join(store(), '.sandbox-cache', 'temporary');
    const unfinished = join(folder, randomUUID());
    mkdirSync(folder, { recursive: true });
    writeFileSync(unfinished, 'half');
    const NODE_OPTIONS = `--require ${join(sandbox.folder, 'later.cjs')}`;
    expectExit(await run(['save', ...DEPS], { NODE_OPTIONS }), 0);
    expect(existsSync(unfinished)).toBe(true);
    const pruned = expectExit(await run(['prune', '--older-than', '1h'], { NODE_OPTIONS }), 0);
    expect(pruned.stdout).toMatch(/^Deleted 0 of 1 entries/);
  });
});
