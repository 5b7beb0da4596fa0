/** Copies in CACHE_LOCAL_DIR of what is in S3, through the built command: used while the original is as it was, and never after. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  type CliResult,
  debris,
  DEPS,
  expectExit,
  makeProject,
  treeOf,
  useSandbox,
  wipe,
} from './support.ts';

const sandbox = useSandbox();
const deps = (): string => join(sandbox.project, 'deps');
const copy = (): string => join(sandbox.folder, 'store', sandbox.key);
const run = (args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> =>
  sandbox.run(args, { env: { CACHE_LOCAL_DIR: join(sandbox.folder, 'store'), ...env } });

let saved: ReturnType<typeof treeOf>;
beforeEach(async () => {
  makeProject(sandbox.project);
  saved = treeOf(deps());
  expectExit(await run(['save', ...DEPS]), 0);
  expect(existsSync(copy())).toBe(true);
  wipe(sandbox.project, 'deps');
});

/** Another tree under the same key, saved by somebody without a directory. */
async function replaceOriginal(): Promise<ReturnType<typeof treeOf>> {
  const elsewhere = join(sandbox.folder, 'elsewhere');
  makeProject(elsewhere);
  writeFileSync(join(elsewhere, 'deps/new'), 'new');
  expectExit(await sandbox.run(['save', ...DEPS, '--force'], { cwd: elsewhere }), 0);
  return treeOf(join(elsewhere, 'deps'));
}

const deleteOriginal = (): boolean => sandbox.server.bucket(sandbox.bucket).objects.delete(sandbox.key);

describe('a copy', () => {
  it('is what a restore reads; of the original it asks for one byte', async () => {
    sandbox.server.requests.length = 0;
    expect(expectExit(await run(['restore', ...DEPS]), 0).stdout).toMatch(/^deps restored from local cache/);
    expect(sandbox.server.requests.map(({ range }) => range)).toEqual(['bytes=0-0']);
    expect(treeOf(deps())).toEqual(saved);
  });

  it.each([
    ['cannot be reached', { AWS_ENDPOINT_URL_S3: 'http://no-such-host.invalid' }, /Cannot reach|ENOTFOUND/i],
    ['refuses', { AWS_SECRET_ACCESS_KEY: 'wrong' }, /secret/i],
  ])('is used with a warning where S3 %s', async (_, env, reason) => {
    const result = expectExit(await run(['restore', ...DEPS], env), 0);
    expect(result.stdout).toMatch(/^deps restored from local cache/);
    expect(result.stderr).toMatch(/^\[cache\] warning: The copy [^\n]* was used unchecked: [^\n]*\n$/);
    expect(result.stderr).toMatch(reason);
    expect(treeOf(deps())).toEqual(saved);
  });

  it('is used with a warning where S3 never answers', async () => {
    sandbox.server.faults.add({ match: () => true, times: 1000, effect: { type: 'stall' } });
    const result = expectExit(await run(['restore', ...DEPS]), 0);
    expect(result.stderr).toContain('was used unchecked: no answer within 2 s');
  });

  it('whose original was replaced is not used: the new one is restored, and copied', async () => {
    const tree = await replaceOriginal();
    const result = expectExit(await run(['restore', ...DEPS, '-v']), 0);
    expect(result.stdout).toMatch(/^deps restored from S3 cache/);
    expect(result.stderr).toMatch(/was replaced after the local copy of it was made: starting again$/m);
    expect(treeOf(deps())).toEqual(tree);
    expect(readFileSync(copy())).toEqual(sandbox.server.read(sandbox.bucket, sandbox.key));
    wipe(sandbox.project, 'deps');
    expect(expectExit(await run(['restore', ...DEPS]), 0).stdout).toMatch(/^deps restored from local cache/);
  });

  it('whose original was deleted is a miss, whatever was in place stays, and the next save stores anew', async () => {
    const path = copy();
    deleteOriginal();
    makeProject(sandbox.project);
    writeFileSync(join(deps(), 'old'), 'old');
    const before = treeOf(deps());
    expect(expectExit(await run(['restore', ...DEPS]), 1).stdout).toMatch(/^deps .*not in the cache/);
    expect(treeOf(deps())).toEqual(before);
    expect(debris(sandbox.project)).toEqual([]);
    expect(existsSync(path)).toBe(false);
    expectExit(await run(['save', ...DEPS]), 0);
    expect(sandbox.keys).toHaveLength(1);
  });

  it('whose original was deleted gives way to an older entry as a base', async () => {
    deleteOriginal();
    makeProject(sandbox.project, { lock: 'older\n' });
    const older = treeOf(deps());
    expectExit(await run(['save', ...DEPS]), 0);
    makeProject(sandbox.project);
    wipe(sandbox.project, 'deps');
    const result = expectExit(await run(['restore', ...DEPS, '--fallback']), 1);
    expect(result.stdout).toMatch(/^deps restored from an older entry as a base/);
    expect(treeOf(deps())).toEqual(older);
  });

  it('whose original was replaced by one that this machine cannot load is a miss', async () => {
    const body = sandbox.server.read(sandbox.bucket, sandbox.key)!;
    const metadata = { 'write-id': 'of another save', 'sandbox-cache-needs': 'GLIBC_99.0' };
    sandbox.server.place(sandbox.bucket, { key: sandbox.key, body, metadata });
    expectExit(await run(['restore', ...DEPS]), 1);
    expect(existsSync(deps())).toBe(false);
  });

  it('inspect follows the original too', async () => {
    const key = sandbox.key;
    await replaceOriginal();
    expect(expectExit(await run(['inspect', key]), 0).stdout).toContain('deps/new');
    deleteOriginal();
    expect(expectExit(await run(['inspect', key]), 3).stderr).toContain('[STORE_NO_ENTRY]');
  });

  it('that is damaged costs a warning: the original is restored, nothing is noted, and the copy is mended', async () => {
    damageCopy();
    const result = expectExit(await run(['restore', ...DEPS]), 0);
    expect(result.stdout).toMatch(/^deps restored from S3 cache/);
    expect(result.stderr).toMatch(/^\[cache\] warning: The local copy of s3:[^\n]* is not used: [^\n]*\n$/);
    expect(treeOf(deps())).toEqual(saved);
    expect(debris(sandbox.folder)).toEqual([]);
    wipe(sandbox.project, 'deps');
    const again = expectExit(await run(['restore', ...DEPS]), 0);
    expect(again.stdout).toMatch(/^deps restored from local cache/);
    expect(again.stderr).toBe('');
  });

  it('that is damaged while S3 is away: the error is about S3, and nothing is blamed on the entry', async () => {
    damageCopy();
    const env = { AWS_ENDPOINT_URL_S3: 'http://no-such-host.invalid' };
    const result = expectExit(await run(['restore', ...DEPS], env), 3);
    expect(result.stderr).toContain('[STORE_UNREACHABLE]');
    expect(sandbox.notes).toEqual([]);
  });

  /** As a bad disk does it: neither size nor time change. */
  function damageCopy(): void {
    const reference = join(sandbox.folder, 'reference');
    const bytes = readFileSync(copy());
    bytes[bytes.length >> 1]! ^= 1;
    execFileSync('touch', ['-r', copy(), reference]);
    writeFileSync(copy(), bytes);
    execFileSync('touch', ['-r', reference, copy()]);
  }
});
