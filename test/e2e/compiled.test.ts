/** Compiled files that one kind of machine can load and another cannot. A folder of libraries makes the difference. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createMachine } from '../../src/compiled/machine.ts';
import { type CliResult, DEPS, expectExit, makeProject, useSandbox, wipe } from './support.ts';

const sandbox = useSandbox();
const image = createMachine({ env: {} }).image();
const hasCompiler = spawnSync('gcc', ['--version']).status === 0;

const run = (command: string, env: Record<string, string> = {}, ...flags: string[]): Promise<CliResult> =>
  sandbox.run([command, ...DEPS, ...flags], { env });
const sharedKey = (): string => sandbox.keys[0]!.replace(`-${image}`, '');
const ownKey = (): string => sharedKey().replace('.tar', `-${image}.tar`);
const library = (): string => join(sandbox.project, 'deps/tool/user.so');

/** Where `libmade-up.so.1` is: what a machine with that library has in its environment. */
function makeLibraries(): Record<string, string> {
  const folder = join(sandbox.folder, 'libraries');
  mkdirSync(folder);
  const [source, lib] = [join(folder, 'made-up.c'), join(folder, 'libmade-up.so.1')];
  writeFileSync(source, 'int made_up(void) { return 1; }\n');
  execFileSync('gcc', ['-shared', '-fPIC', '-Wl,-soname,libmade-up.so.1', '-o', lib, source]);
  makeProject(sandbox.project);
  writeFileSync(source, 'int made_up(void); int user(void) { return made_up(); }\n');
  execFileSync('gcc', ['-shared', '-fPIC', '-o', library(), source, lib]);
  return { LD_LIBRARY_PATH: folder };
}

function needsOf(key: string): string | undefined {
  return sandbox.server.bucket(sandbox.bucket).objects.get(key)?.headers['x-amz-meta-sandbox-cache-needs'];
}

/** What a machine of another kind would have saved. */
function demand(key: string, needs: string): void {
  const metadata: Record<string, string> = { 'sandbox-cache-needs': needs };
  for (const [name, value] of Object.entries(
    sandbox.server.bucket(sandbox.bucket).objects.get(key)!.headers,
  )) {
    const short = name.replace('x-amz-meta-', '');
    if (short !== name && metadata[short] === undefined) metadata[short] = value;
  }
  sandbox.server.place(sandbox.bucket, { key, body: sandbox.server.read(sandbox.bucket, key)!, metadata });
}

describe.skipIf(!hasCompiler)('a machine that lacks a library', () => {
  it('takes the entry for a miss and has its own beside it; neither replaces the other', async () => {
    const rich = makeLibraries();
    expectExit(await run('save', rich), 0);
    expect(needsOf(sharedKey())?.split(' ')).toContain('libmade-up.so.1');
    const shared = sandbox.etag;
    wipe(sandbox.project, 'deps');
    expectExit(await run('restore', rich), 0);
    wipe(sandbox.project, 'deps');

    const missed = expectExit(await run('restore'), 1);
    expect(missed.stderr).toMatch(
      /^\[cache\] warning: Compiled files of \S+ need libmade-up\.so\.1, which this machine lacks\. .*\n$/,
    );
    expect(missed.stdout).toContain(`not in the cache (${ownKey()})`);
    const explained = expectExit(await run('key', {}, '--explain'), 0);
    expect(explained.stderr).toContain('need libmade-up.so.1, which this machine lacks');
    expect(explained.stdout).toMatch(new RegExp(`runtime: \\S+ there, \\S+-${image} here`));

    // What an install on this machine comes to.
    makeProject(sandbox.project);
    expectExit(await run('save'), 0);
    expect(sandbox.keys).toEqual([ownKey(), sharedKey()]);
    expect(expectExit(await run('restore'), 0).stdout).toMatch(/already in place/);
    sandbox.server.requests.length = 0;
    expectExit(await run('restore'), 0);
    expect(sandbox.server.requests).toEqual([]);
    wipe(sandbox.project, 'deps');
    expect(expectExit(await run('restore'), 0).stderr).toBe('');
    expect(expectExit(await run('save'), 0).stdout).toMatch(/already cached/);
    expect(expectExit(await run('warm'), 0).stdout).toContain(ownKey());
    expect(expectExit(await run('inspect', {}, '--json'), 0).stdout).toContain(`"key": "${ownKey()}"`);
    wipe(sandbox.project, 'deps');
    expectExit(await run('restore', rich), 0);
    expect(readFileSync(library()).length).toBeGreaterThan(0);
    expect(sandbox.server.bucket(sandbox.bucket).objects.get(sharedKey())?.etag).toBe(shared);
    expect(expectExit(await run('key'), 0).stdout.trim()).toBe(sharedKey());
  });

  it('neither takes for in place nor saves what came with another machine', async () => {
    const rich = makeLibraries();
    expectExit(await run('save', rich), 0);
    expectExit(await run('restore'), 1);
    const refused = expectExit(await run('save'), 4);
    expect(refused.stderr).toMatch(
      /compiled files in deps need libmade-up\.so\.1.*remove deps and install again/,
    );
    expect(sandbox.keys).toHaveLength(1);
    expectExit(await run('restore', rich), 0);
  });

  it('has its tree installed anew, not built upon, by ensure', async () => {
    const rich = makeLibraries();
    expectExit(await run('save', rich), 0);
    const installer = 'mkdir -p deps; test -e deps/tool/user.so && exit 9; echo fresh > deps/fresh.txt';
    const ensured = expectExit(await run('ensure', {}, '--', 'sh', '-c', installer), 0);
    expect(ensured.stdout).toMatch(/ready: installed and saved/);
    expect(sandbox.keys).toEqual([ownKey(), sharedKey()]);
  });

  it('has its own also under keys without a runtime', async () => {
    const old = { CACHE_KEY_RUNTIME: 'false' };
    expectExit(await run('save', { ...makeLibraries(), ...old }), 0);
    makeProject(sandbox.project);
    wipe(sandbox.project, 'deps/.sandbox-cache-receipt.json');
    expectExit(await run('save', old), 0);
    expect(sandbox.keys).toEqual([ownKey(), sharedKey()]);
    wipe(sandbox.project, 'deps');
    expectExit(await run('restore', old), 0);
  });

  it('says in a directory what it says in a bucket', async () => {
    const local = { CACHE_S3_BUCKET: '', CACHE_LOCAL_DIR: join(sandbox.folder, 'store') };
    const rich = { ...makeLibraries(), ...local };
    expectExit(await run('save', rich), 0);
    wipe(sandbox.project, 'deps');
    expect(expectExit(await run('restore', local), 1).stderr).toMatch(/need libmade-up\.so\.1/);
    makeProject(sandbox.project);
    expect(expectExit(await run('save', local), 0).stdout).toContain(`-${image}.tar.gz`);
    wipe(sandbox.project, 'deps');
    expectExit(await run('restore', local), 0);
  });
});

describe('symbol versions', () => {
  it.each(['GLIBC_99.1', 'GLIBCXX_3.99', 'CXXABI_9.9'])('%s is a miss', async (version) => {
    makeProject(sandbox.project);
    expectExit(await run('save'), 0);
    const key = sandbox.key;
    demand(key, `GLIBC_2.0 ${version}`);
    wipe(sandbox.project, 'deps');
    expect(expectExit(await run('restore'), 1).stderr).toContain(`need ${version}, which this machine lacks`);
  });

  it('of an older entry keep it from being a base', async () => {
    makeProject(sandbox.project);
    expectExit(await run('save'), 0);
    demand(sandbox.key, 'GLIBC_99.1');
    wipe(sandbox.project, 'deps');
    writeFileSync(join(sandbox.project, 'deps.lock'), 'two\n');
    expect(expectExit(await run('restore', {}, '--fallback'), 1).stdout).toMatch(/not in the cache/);
  });

  it('that even the entry of this kind of image asks for: nothing is replaced', async () => {
    makeProject(sandbox.project);
    expectExit(await run('save'), 0);
    const key = sandbox.key;
    const own = key.replace('.tar', `-${image}.tar`);
    sandbox.server.place(sandbox.bucket, { key: own, body: Buffer.from('x'), metadata: {} });
    demand(own, 'GLIBC_99.2');
    demand(key, 'GLIBC_99.1');
    wipe(sandbox.project, 'deps');
    const missed = expectExit(await run('restore'), 1);
    expect(missed.stderr).toContain(`${own} need GLIBC_99.2, which this machine lacks`);
    makeProject(sandbox.project);
    expect(expectExit(await run('save'), 0).stdout).toMatch(/already cached/);
    expect(sandbox.server.read(sandbox.bucket, own)).toEqual(Buffer.from('x'));
  });
});
