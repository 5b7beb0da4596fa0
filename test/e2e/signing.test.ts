/** Keys that do not fit, and old entries passed off as new: what a signature keeps from happening. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEPS, expectExit, makeProject, type RunOptions, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();

interface Keys {
  CACHE_SIGNING_KEY: string;
  CACHE_VERIFY_KEY: string;
}

async function keygen(name: string): Promise<Keys> {
  const path = join(sandbox.folder, name);
  expectExit(await sandbox.run(['keygen', path]), 0);
  return { CACHE_SIGNING_KEY: `${path}.key`, CACHE_VERIFY_KEY: `${path}.pub` };
}

/** Saves a tree that tells which lockfile it is for. */
async function save(lock: string, env: NonNullable<RunOptions['env']>): Promise<string> {
  makeProject(sandbox.project, { lock });
  writeFiles(sandbox.project, { 'deps/for': lock });
  const before = sandbox.keys;
  expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
  wipe(sandbox.project, 'deps');
  return sandbox.keys.find((key) => !before.includes(key))!;
}

function metadataOf(key: string): Record<string, string> {
  const headers = sandbox.server.bucket(sandbox.bucket).objects.get(key)!.headers;
  const pairs = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-meta-'));
  return Object.fromEntries(pairs.map(([name, value]) => [name.slice('x-amz-meta-'.length), String(value)]));
}

/** Writes an object again, as whoever may write can: by the store's clock it is the newest then. */
function rewrite(key: string, change: { body?: Buffer; metadata?: Record<string, string> } = {}): void {
  const body = change.body ?? Buffer.from(sandbox.server.read(sandbox.bucket, key)!);
  const metadata = { ...metadataOf(key), ...change.metadata };
  sandbox.server.place(sandbox.bucket, { key, body, metadata });
}

describe('with a verify key, what cannot be signed for it is never written', () => {
  it('a machine with a key that is out of date does not replace a good entry', async () => {
    const [good, old] = [await keygen('good'), await keygen('old')];
    await save('one\n', { CACHE_SIGNING_KEY: good.CACHE_SIGNING_KEY });
    const { etag } = sandbox;
    const stale = { env: { CACHE_VERIFY_KEY: old.CACHE_VERIFY_KEY } };
    expectExit(await sandbox.run(['ensure', ...DEPS, '--', 'sh', '-c', 'mkdir deps'], stale), 0);
    for (const force of [[], ['--force']])
      expectExit(await sandbox.run(['save', ...DEPS, ...force], stale), 0);
    expect(expectExit(await sandbox.run(['save', ...DEPS, '--force', '--json'], stale), 0).stdout).toContain(
      'CACHE_VERIFY_KEY is set without the CACHE_SIGNING_KEY for it',
    );
    wipe(sandbox.project, 'deps');
    const evicting = expectExit(await sandbox.run(['restore', ...DEPS, '--evict'], stale), 3);
    expect(evicting.stderr).toMatch(/was not deleted: CACHE_VERIFY_KEY is set without the CACHE_SIGNING_KEY/);
    expect(sandbox.etag).toBe(etag);
    expectExit(
      await sandbox.run(['restore', ...DEPS], { env: { CACHE_VERIFY_KEY: good.CACHE_VERIFY_KEY } }),
      0,
    );
  });

  it('nor does one whose keys are not of one pair, which is an error', async () => {
    const [good, old] = [await keygen('good'), await keygen('old')];
    await save('one\n', { CACHE_SIGNING_KEY: good.CACHE_SIGNING_KEY });
    const { etag } = sandbox;
    const mixed = { env: { ...good, CACHE_VERIFY_KEY: old.CACHE_VERIFY_KEY } };
    const evicting = expectExit(await sandbox.run(['restore', ...DEPS, '--evict'], mixed), 3);
    expect(evicting.stderr).toMatch(/was not deleted: CACHE_SIGNING_KEY does not belong to CACHE_VERIFY_KEY/);
    makeProject(sandbox.project);
    for (const force of [[], ['--force']]) {
      const result = expectExit(await sandbox.run(['save', ...DEPS, ...force], mixed), 2);
      expect(result.stderr).toMatch(
        /CACHE_SIGNING_KEY does not belong to CACHE_VERIFY_KEY.*\[CONFIG_INVALID\]\n$/,
      );
    }
    expect(sandbox.etag).toBe(etag);
  });

  it('nor is anything saved anew that only stands in the way of a signed one', async () => {
    const { CACHE_VERIFY_KEY } = await keygen('pair');
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS], { env: { CACHE_VERIFY_KEY } }), 0);
    expect(sandbox.keys).toEqual([]);
    const warming = expectExit(
      await sandbox.run(['warm', ...DEPS, '--', 'true'], { env: { CACHE_VERIFY_KEY } }),
      2,
    );
    expect(warming.stderr).toContain('CACHE_VERIFY_KEY is set without');
  });

  it('with both keys of a pair an entry that is not signed is replaced', async () => {
    const pair = await keygen('pair');
    await save('one\n', {});
    const { etag } = sandbox;
    expectExit(await sandbox.run(['restore', ...DEPS], { env: { ...pair } }), 3);
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS], { env: { ...pair } }), 0);
    expect(sandbox.etag).not.toBe(etag);
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS], { env: { ...pair } }), 0);
  });
});

describe.each(['S3', 'a directory'])('the base of --fallback, from %s', (place) => {
  let keys: Keys;
  let env: Record<string, string>;

  async function prepare(): Promise<void> {
    keys = await keygen('pair');
    env = place === 'S3' ? {} : { CACHE_S3_BUCKET: '', CACHE_LOCAL_DIR: join(sandbox.folder, 'store') };
  }

  /** The lockfile that the tree in place is for. */
  async function fallBack(
    trust: Partial<Keys> = { CACHE_VERIFY_KEY: keys.CACHE_VERIFY_KEY },
  ): Promise<string> {
    wipe(sandbox.project, 'deps');
    writeFiles(sandbox.project, { 'deps.lock': 'new\n' });
    const { stdout } = expectExit(
      await sandbox.run(['restore', ...DEPS, '--fallback'], { env: { ...env, ...trust } }),
      1,
    );
    const path = join(sandbox.project, 'deps/for');
    return existsSync(path) ? readFileSync(path, 'utf8') : stdout;
  }

  it('is the one saved last, by the signed time', async () => {
    await prepare();
    for (const lock of ['one\n', 'two\n']) await save(lock, { ...env, ...keys });
    expect(await fallBack()).toBe('two\n');
  });

  it('passes over one that is not signed by the key', async () => {
    await prepare();
    const others = await keygen('others');
    await save('one\n', { ...env, ...keys });
    await save('two\n', env);
    await save('three\n', { ...env, ...others });
    expect(await fallBack()).toBe('one\n');
    expect(await fallBack({ CACHE_VERIFY_KEY: others.CACHE_VERIFY_KEY })).toBe('three\n');
  });

  it('is none where nothing is signed', async () => {
    await prepare();
    await save('one\n', env);
    expect(await fallBack()).toMatch(/^deps not in the cache/);
    const run = { env: { ...env, CACHE_VERIFY_KEY: keys.CACHE_VERIFY_KEY, CACHE_VERBOSE: 'true' } };
    const { stderr } = expectExit(await sandbox.run(['restore', ...DEPS, '--fallback'], run), 1);
    expect(stderr).toContain('1 of 1 older entries have no time of saving signed for CACHE_VERIFY_KEY');
  });
});

describe('whoever may write to the bucket', () => {
  async function twoSigned(): Promise<{ keys: Keys; one: string; two: string }> {
    const keys = await keygen('pair');
    return { keys, one: await save('one\n', { ...keys }), two: await save('two\n', { ...keys }) };
  }

  async function baseFor({ CACHE_VERIFY_KEY }: Keys): Promise<{ tree: string; stderr: string }> {
    wipe(sandbox.project, 'deps');
    writeFiles(sandbox.project, { 'deps.lock': 'new\n' });
    const args = ['restore', ...DEPS, '--fallback'];
    const { stderr } = expectExit(await sandbox.run(args, { env: { CACHE_VERIFY_KEY } }), 1);
    return { tree: readFileSync(join(sandbox.project, 'deps/for'), 'utf8'), stderr };
  }

  it('cannot make an old entry the newest by copying it onto itself', async () => {
    const { keys, one } = await twoSigned();
    rewrite(one);
    expect(await baseFor(keys)).toEqual({ tree: 'two\n', stderr: '' });
  });

  it('cannot give it another time, nor the time of another entry', async () => {
    const { keys, one, two } = await twoSigned();
    const { 'sandbox-cache-saved': time, 'sandbox-cache-saved-signature': signature } = metadataOf(two);
    rewrite(one, { metadata: { 'sandbox-cache-saved': '2999-01-01T00:00:00.000Z' } });
    expect((await baseFor(keys)).tree).toBe('two\n');
    rewrite(one, { metadata: { 'sandbox-cache-saved': time!, 'sandbox-cache-saved-signature': signature! } });
    expect((await baseFor(keys)).tree).toBe('two\n');
  });

  it('cannot put an old tree under the newest entry’s time, nor turn the fallback off', async () => {
    const { keys, one, two } = await twoSigned();
    rewrite(two, { body: Buffer.from(sandbox.server.read(sandbox.bucket, one)!) });
    const { tree, stderr } = await baseFor(keys);
    expect(tree).toBe('one\n');
    expect(stderr).toMatch(new RegExp(`^\\[cache\\] warning: ${two} is no base: [^\\n]+\\n$`));
  });
});
