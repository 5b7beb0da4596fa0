/** Bad entries: told with the reason, never taken for good, noted, and replaced by the next save after a good install. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { LoggedRequest } from '../support/s3-server.ts';
import {
  type CliResult,
  debris,
  DEPS,
  expectExit,
  makeNpmProject,
  makeProject,
  treeOf,
  useSandbox,
  wipe,
  writeFiles,
} from './support.ts';

const sandbox = useSandbox();
/** A saved entry, and an older tree in place of the one that it holds. */
async function fill(bigBytes = 100_000): Promise<void> {
  makeProject(sandbox.project, { bigBytes });
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  wipe(sandbox.project, 'deps');
  makeProject(sandbox.project);
  writeFileSync(join(sandbox.project, 'deps/old'), 'old');
}

describe('an entry whose bytes fail their checks', () => {
  it.each([
    ['one bit in the middle', 'ARCHIVE_CORRUPT', (body: Buffer) => flip(body, body.length >> 1)],
    ['one bit of the first header', 'ARCHIVE_CORRUPT', (body: Buffer) => flip(body, 5)],
    ['one bit of the end', 'ARCHIVE_CORRUPT', (body: Buffer) => flip(body, body.length - 30)],
    ['bytes behind its end', 'ARCHIVE_CORRUPT', (body: Buffer) => Buffer.concat([body, Buffer.alloc(7)])],
    ['its end is missing', 'ARCHIVE_TRUNCATED', (body: Buffer) => body.subarray(0, body.length - 1000)],
    ['nothing but its beginning', 'ARCHIVE_TRUNCATED', (body: Buffer) => body.subarray(0, 100)],
    ['something else', '', () => Buffer.from('<html>not an archive</html>')],
    ['nothing at all', '', () => Buffer.alloc(0)],
  ])('%s: exit 3, the old tree stays, the entry is noted', async (_, code, change) => {
    await fill();
    const before = treeOf(join(sandbox.project, 'deps'));
    sandbox.alter(change);
    const result = expectExit(await sandbox.run(['restore', ...DEPS]), 3);
    expect(result.stderr).toMatch(/^\[cache\] error: [^\n]+ \[ARCHIVE_\w+\]\n$/);
    expect(result.stderr).toContain(code);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    expect(debris(sandbox.project)).toEqual([]);
    expect(sandbox.notes).toEqual([expect.objectContaining({ key: sandbox.key, etag: sandbox.etag })]);
  });

  it('the next save replaces exactly that object, and the next restore is good', async () => {
    await fill();
    sandbox.alter((body) => flip(body, 500));
    const bad = sandbox.etag;
    expectExit(await sandbox.run(['restore', ...DEPS]), 3);
    const before = treeOf(join(sandbox.project, 'deps'));
    sandbox.server.requests.length = 0;
    expect(expectExit(await sandbox.run(['save', ...DEPS]), 0).stdout).toMatch(
      /^deps saved to .*; replaced\)\n$/,
    );
    const put = sandbox.server.requests.find(({ operation }) => operation === 'PutObject');
    expect(put?.headers['if-match']).toBe(`"${bad}"`);
    expect(sandbox.etag).not.toBe(bad);
    expect(sandbox.notes).toEqual([]);
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS]), 0);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    expect(expectExit(await sandbox.run(['save', ...DEPS]), 0).stdout).toMatch(/^deps already cached/);
  });

  it('a bad entry that was copied onto itself meanwhile is the same: replaced, or deleted by --evict', async () => {
    await fill();
    sandbox.alter((body) => flip(body, 500));
    expectExit(await sandbox.run(['restore', ...DEPS]), 3);
    sandbox.copyOntoItself();
    expect(expectExit(await sandbox.run(['save', ...DEPS]), 0).stdout).toMatch(/; replaced\)\n$/);
    sandbox.alter((body) => flip(body, 500));
    const match = ({ operation, range }: LoggedRequest): boolean =>
      operation === 'GetObject' && range === 'bytes=0-0';
    sandbox.server.faults.add({ match, effect: { type: 'before', run: () => sandbox.copyOntoItself() } });
    wipe(sandbox.project, 'deps');
    expect(expectExit(await sandbox.run(['restore', ...DEPS, '--evict']), 3).stderr).toContain(
      'the entry was deleted',
    );
    expect(sandbox.keys).toEqual([]);
  });

  it('an entry that somebody has mended meanwhile is left alone', async () => {
    await fill();
    const good = sandbox.server.read(sandbox.bucket, sandbox.key)!;
    sandbox.alter((body) => flip(body, 500));
    expectExit(await sandbox.run(['restore', ...DEPS]), 3);
    sandbox.saveAgain(good);
    const mended = sandbox.etag;
    expect(expectExit(await sandbox.run(['save', ...DEPS]), 0).stdout).toMatch(/^deps already cached/);
    expect(sandbox.etag).toBe(mended);
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS]), 0);
  });

  it('read-only: noted, never replaced or deleted', async () => {
    await fill();
    sandbox.alter((body) => flip(body, 500));
    const bad = sandbox.etag;
    const env = { CACHE_READONLY: 'true' };
    const result = expectExit(await sandbox.run(['restore', ...DEPS, '--evict'], { env }), 3);
    expect(result.stderr).toMatch(/^\[cache\] warning: .* was not deleted: CACHE_READONLY is set\n/);
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    expect(sandbox.etag).toBe(bad);
  });

  it('--evict deletes it at once', async () => {
    await fill();
    sandbox.alter((body) => flip(body, 500));
    const result = expectExit(await sandbox.run(['restore', ...DEPS, '--evict']), 3);
    expect(result.stderr).toMatch(/; the entry was deleted\W/);
    expect(sandbox.keys).toEqual([]);
    expectExit(await sandbox.run(['restore', ...DEPS]), 1);
  });

  it('--evict says so when there is nothing left to delete, and when somebody has mended the entry', async () => {
    await fill();
    const good = sandbox.server.read(sandbox.bucket, sandbox.key)!;
    const [, end] = [sandbox.alter((body) => flip(body, 500)), good.length];
    const { key, bucket, server } = sandbox;
    /** Strikes when the entry has been read, and before `--evict` looks at it again. */
    const meanwhile = (run: () => void): void =>
      server.faults.add({
        match: ({ operation, range }) => operation === 'GetObject' && range === 'bytes=0-0',
        effect: { type: 'before', run },
      });
    meanwhile(() => void server.bucket(bucket).objects.delete(key));
    const gone = expectExit(await sandbox.run(['restore', ...DEPS, '--evict']), 3);
    expect(gone.stderr).toMatch(/; the entry was gone already\W/);
    server.place(bucket, { key, body: flip(Buffer.from(good), end >> 1) });
    meanwhile(() => void server.place(bucket, { key, body: good }));
    const kept = expectExit(await sandbox.run(['restore', ...DEPS, '--evict']), 3);
    expect(kept.stderr).toMatch(/s3:\S+ was not deleted: somebody has replaced it meanwhile/);
    expect(kept.stderr).not.toContain('was deleted');
    expect(server.read(bucket, key)).toEqual(good);
  });

  it('--evict deletes it where it cannot be noted, too', async () => {
    await fill();
    sandbox.alter((body) => flip(body, 500));
    // In the way, as a directory that somebody else has made first is.
    writeFiles(sandbox.notesDir, { '../file': '' });
    symlinkSync('file', sandbox.notesDir);
    const result = expectExit(await sandbox.run(['restore', ...DEPS, '--evict']), 3);
    expect(result.stderr).toMatch(/^\[cache\] warning: The faulty entry .* could not be noted: /m);
    expect(sandbox.keys).toEqual([]);
  });

  it('--evict deletes an older one that was to be the base, and notes nothing', async () => {
    await fill();
    sandbox.alter((body) => flip(body, 500));
    writeFiles(sandbox.project, { 'deps.lock': 'two\n' });
    expectExit(await sandbox.run(['restore', ...DEPS, '--fallback']), 3);
    expect(sandbox.keys).toHaveLength(1);
    expectExit(await sandbox.run(['restore', ...DEPS, '--fallback', '--evict']), 3);
    expect(sandbox.keys).toEqual([]);
    expect(sandbox.notes).toEqual([]);
  });

  it('nothing is noted or deleted when a proxy has encoded the entry', async () => {
    await fill();
    const body = gzipSync(sandbox.server.read(sandbox.bucket, sandbox.key)!);
    const size = sandbox.server.read(sandbox.bucket, sandbox.key)!.length;
    const head = `HTTP/1.1 206 Partial Content\r\netag: "${sandbox.etag}"\r\ncontent-range: bytes 0-${size - 1}/${size}\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n`;
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'GetObject',
      times: 100,
      effect: { type: 'raw', first: Buffer.concat([Buffer.from(head), body]) },
    });
    const result = expectExit(await sandbox.run(['restore', ...DEPS, '--evict']), 3);
    expect(result.stderr).toMatch(/came encoded \(gzip\).* \[STORE_FAILED\]\n$/);
    expect(sandbox.notes).toEqual([]);
    expect(sandbox.keys).toHaveLength(1);
  });

  it('nothing is noted when it is the network that failed', async () => {
    await fill();
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'GetObject',
      times: 100,
      effect: { type: 'reset', responseBytes: 1000 },
    });
    expectExit(await sandbox.run(['restore', ...DEPS]), 3);
    expect(sandbox.notes).toEqual([]);
  });
});

describe('an entry whose tree fails its verification', () => {
  async function fillUnusable(): Promise<void> {
    makeNpmProject(sandbox.project);
    wipe(sandbox.project, 'node_modules/one/package.json');
    expectExit(await sandbox.run(['save', 'npm', '--no-verify']), 0);
    wipe(sandbox.project, 'node_modules');
  }

  it('exit 4 with the reason, no receipt, no marker; the entry stays, and the next good save replaces it', async () => {
    await fillUnusable();
    const result = expectExit(await sandbox.run(['restore', 'npm']), 4);
    expect(result.stdout).toMatch(/^Node packages restored, but not usable: .*one/);
    expect(result.stderr).toMatch(
      /^\[cache\] warning: claude-sandbox-cache\/npm-.* was restored, but .*one.*\n$/,
    );
    for (const name of ['.sandbox-cache-receipt.json', '.installed']) {
      expect(existsSync(join(sandbox.project, 'node_modules', name)), name).toBe(false);
    }
    expect(sandbox.keys).toHaveLength(1);
    // Still not usable: that is no install to save.
    expectExit(await sandbox.run(['save', 'npm']), 4);
    makeNpmProject(sandbox.project);
    expect(expectExit(await sandbox.run(['save', 'npm']), 0).stdout).toMatch(/; replaced\)\n$/);
    wipe(sandbox.project, 'node_modules');
    expectExit(await sandbox.run(['restore', 'npm']), 0);
  });

  it('--evict deletes it', async () => {
    await fillUnusable();
    const result = expectExit(await sandbox.run(['restore', 'npm', '--evict']), 4);
    expect(result.stdout).toContain('; the entry was deleted');
    expect(sandbox.keys).toEqual([]);
  });

  it.each([
    ['CACHE_READONLY is set', { CACHE_READONLY: 'true' }],
    ['DeleteObject', {}],
  ])('--evict says so when it does not: %s', async (why, env) => {
    await fillUnusable();
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'DeleteObject',
      effect: { type: 'error', status: 403, code: 'AccessDenied' },
    });
    const result = expectExit(await sandbox.run(['restore', 'npm', '--evict'], { env }), 4);
    expect(result.stderr).toMatch(new RegExp(`^\\[cache\\] warning: s3://.* was not deleted: .*${why}`, 'm'));
    expect(result.stdout).not.toContain('was deleted');
    expect(sandbox.keys).toHaveLength(1);
  });
});

describe('a restored tree that this machine cannot verify', () => {
  it.each([
    ['the command is not there', ['no-such-program', 'check'], /There is no program no-such-program/],
    ['its interpreter is not there, as in a venv that was moved', ['deps/tool/moved'], /cannot be started/],
  ])('%s: exit 4, and the entry is neither noted nor deleted', async (_, verify, reason) => {
    makeProject(sandbox.project);
    const recipe = { lockfiles: ['deps.lock'], paths: ['deps'], verify };
    writeFiles(sandbox.project, {
      'deps/tool/moved': '#!/gone/bin/python3\n',
      '.sandbox-cache.json': JSON.stringify({ recipes: { deps: recipe } }),
    });
    expectExit(await sandbox.run(['save', 'deps', '--no-verify']), 0);
    wipe(sandbox.project, 'deps');
    const result = expectExit(await sandbox.run(['restore', 'deps', '--evict']), 4);
    expect(result.stdout).toMatch(reason);
    expect(result.stderr).toMatch(/^\[cache\] warning: [^\n]+ The entry stays as it is[^\n]+\n$/);
    expect(sandbox.notes).toEqual([]);
    expect(sandbox.keys).toHaveLength(1);
  });
});

describe('an archive that no honest saver makes', () => {
  /** Made by GNU tar, under the key of an old entry. */
  async function place(...args: string[]): Promise<void> {
    const env = { CACHE_KEY_RUNTIME: 'false' };
    const { stdout } = expectExit(await sandbox.run(['key', ...DEPS], { env }), 0);
    const body = execFileSync('tar', ['-cz', '-C', sandbox.folder, ...args]);
    sandbox.server.place(sandbox.bucket, { key: stdout.trim(), body });
  }

  it.each([
    ['a path above the project', ['-P', '--transform=s,^evil,../escaped,', 'evil']],
    ['an absolute path', ['-P', '--transform=s,^evil,/tmp/sandbox-cache-escaped,', 'evil']],
    ['a path beside the target', ['evil']],
    ['a fifo', ['--transform=s,^pipe,deps/pipe,', 'pipe']],
  ])('%s: refused, nothing is written', async (_, args) => {
    makeProject(sandbox.project);
    const before = treeOf(sandbox.project);
    writeFileSync(join(sandbox.folder, 'evil'), 'evil');
    execFileSync('mkfifo', [join(sandbox.folder, 'pipe')]);
    await place(...args);
    const result = expectExit(
      await sandbox.run(['restore', ...DEPS], { env: { CACHE_KEY_RUNTIME: 'false' } }),
      3,
    );
    expect(result.stderr).toMatch(/^\[cache\] error: [^\n]+ \[ARCHIVE_REFUSED\]\n$/);
    expect(treeOf(sandbox.project)).toEqual(before);
    expect(existsSync(join(sandbox.folder, 'escaped'))).toBe(false);
    expect(existsSync('/tmp/sandbox-cache-escaped')).toBe(false);
  });

  it('the entry of another lockfile under this name: ARCHIVE_MISMATCH', async () => {
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const stolen = sandbox.server.bucket(sandbox.bucket).objects.get(sandbox.key)!;
    makeProject(sandbox.project, { lock: 'two\n' });
    const { stdout } = expectExit(await sandbox.run(['key', ...DEPS]), 0);
    sandbox.server.bucket(sandbox.bucket).objects.set(stdout.trim(), { ...stolen, key: stdout.trim() });
    const result = expectExit(await sandbox.run(['restore', ...DEPS]), 3);
    expect(result.stderr).toMatch(/\[ARCHIVE_MISMATCH\]\n$/);
  });
});

describe('signing', () => {
  /** A pair of keys beside the project, as the variables take them. */
  async function keygen(name: string): Promise<{ sign: string; verify: string }> {
    const path = join(sandbox.folder, name);
    expectExit(await sandbox.run(['keygen', path]), 0);
    return { sign: `${path}.key`, verify: `${path}.pub` };
  }

  it('keygen: two PEM files, the private one for its owner alone, and never over an old pair', async () => {
    const { sign, verify } = await keygen('pair');
    expect(statSync(sign).mode & 0o777).toBe(0o600);
    expect(readFileSync(sign, 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----/);
    expect(readFileSync(verify, 'utf8')).toMatch(/^-----BEGIN PUBLIC KEY-----/);
    const before = readFileSync(sign, 'utf8');
    const again = expectExit(await sandbox.run(['keygen', join(sandbox.folder, 'pair')]), 2);
    expect(again.stderr).toMatch(/pair\.key exists/);
    expect(readFileSync(sign, 'utf8')).toBe(before);
  });

  it('keygen leaves no half of a pair beside a file that is in the way', async () => {
    writeFileSync(join(sandbox.folder, 'pair.pub'), 'theirs');
    const result = expectExit(await sandbox.run(['keygen', join(sandbox.folder, 'pair')]), 2);
    expect(result.stderr).toMatch(/pair\.pub exists/);
    expect(existsSync(join(sandbox.folder, 'pair.key'))).toBe(false);
    expect(readFileSync(join(sandbox.folder, 'pair.pub'), 'utf8')).toBe('theirs');
  });

  it('restorers with the public key take what its private key signed, and nothing else', async () => {
    const [ours, others] = [await keygen('ours'), await keygen('others')];
    const save = async (env: Record<string, string>): Promise<CliResult> => {
      makeProject(sandbox.project);
      return expectExit(await sandbox.run(['save', ...DEPS, '--force'], { env }), 0);
    };
    const restore = (env: Record<string, string>): Promise<CliResult> => {
      wipe(sandbox.project, 'deps');
      return sandbox.run(['restore', ...DEPS], { env });
    };
    const trust = { CACHE_VERIFY_KEY: ours.verify };

    await save({ CACHE_SIGNING_KEY: ours.sign });
    expectExit(await restore({}), 0);
    expectExit(await restore(trust), 0);
    // PEM text in the variable itself, with the line breaks written out as secrets managers do.
    expectExit(
      await restore({ CACHE_VERIFY_KEY: readFileSync(ours.verify, 'utf8').replaceAll('\n', '\\n') }),
      0,
    );
    for (const env of [{ CACHE_SIGNING_KEY: others.sign }, {}]) {
      await save(env as Record<string, string>);
      const refused = expectExit(await restore(trust), 3);
      expect(refused.stderr).toMatch(/^\[cache\] error: [^\n]+ \[ARCHIVE_UNTRUSTED\]\n$/);
      expect(existsSync(join(sandbox.project, 'deps'))).toBe(false);
      expectExit(await restore({}), 0);
    }
  });

  it('a signed entry cannot be moved to another lockfile', async () => {
    const { sign, verify } = await keygen('ours');
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS], { env: { CACHE_SIGNING_KEY: sign } }), 0);
    const stolen = sandbox.server.bucket(sandbox.bucket).objects.get(sandbox.key)!;
    makeProject(sandbox.project, { lock: 'two\n' });
    const key = expectExit(await sandbox.run(['key', ...DEPS]), 0).stdout.trim();
    sandbox.server.bucket(sandbox.bucket).objects.set(key, { ...stolen, key });
    expectExit(await sandbox.run(['restore', ...DEPS], { env: { CACHE_VERIFY_KEY: verify } }), 3);
  });

  it('a key that is none: exit 2', async () => {
    makeProject(sandbox.project);
    const { verify } = await keygen('ours');
    for (const env of [
      { CACHE_SIGNING_KEY: verify },
      { CACHE_SIGNING_KEY: '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----' },
    ]) {
      const result = expectExit(await sandbox.run(['save', ...DEPS, '--force'], { env }), 2);
      expect(result.stderr).toMatch(/^\[cache\] error: CACHE_SIGNING_KEY [^\n]+ \[CONFIG_INVALID\]\n$/);
    }
  });
});

function flip(body: Buffer, at: number): Buffer {
  body.writeUInt8(body[at]! ^ 0x10, at);
  return body;
}
