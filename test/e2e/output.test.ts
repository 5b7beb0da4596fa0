/** What is printed, and where: one JSON document, quiet runs, closed pipes, the start-up that loads no SDK, and no secret ever. */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ERROR_KINDS } from '../../src/errors.ts';
import { lacks } from '../support/programs.ts';
import { startConnectProxy } from '../store/s3/connect-proxy.ts';
import { DEPS, expectExit, makeNpmProject, makeProject, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();
const COMMANDS = [
  'restore',
  'save',
  'ensure',
  'warm',
  'key',
  'list',
  'inspect',
  'prune',
  'keygen',
  'completion',
];
const docs = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** Fields of each result beside `recipe` and `type`. */
const WORK = ['key', 'url', 'storedBytes', 'bytes', 'files', 'seconds'];
const FIELDS: Record<string, readonly string[]> = {
  restored: ['from', 'installSeconds', ...WORK],
  fallback: ['from', 'wanted', ...WORK],
  'in-place': ['key'],
  miss: ['key', 'url'],
  unverified: ['key', 'url', 'reason', 'blame'],
  saved: ['replaced', ...WORK],
  exists: ['key', 'url'],
  started: ['pid'],
  ensured: ['by', 'saved', 'seconds', 'key', 'url'],
  'install-failed': ['command', 'status'],
  off: ['reason'],
  'no-lockfile': ['lockfiles'],
  'nothing-installed': ['targets'],
  key: ['key'],
  explained: ['key', 'digest', 'runtime', 'ingredients', 'standing'],
  failed: ['error'],
};

interface Document {
  exitCode: number;
  results: ({ recipe: string; type: string } & Record<string, unknown>)[];
}

describe('--json', () => {
  async function json(args: readonly string[], code: number, env: Record<string, string | undefined> = {}) {
    const result = expectExit(await sandbox.run(['--json', ...args], { env }), code);
    const document = JSON.parse(result.stdout) as Document;
    expect(document.exitCode).toBe(code);
    for (const { recipe, type, ...rest } of document.results) {
      expect(recipe).toBeTypeOf('string');
      const more = rest['by'] === 'cache' ? FIELDS['restored']! : [];
      expect(Object.keys(rest).sort(), type).toEqual([...new Set([...(FIELDS[type] ?? []), ...more])].sort());
    }
    return document.results;
  }
  const types = (results: Document['results']): string[] => results.map(({ type }) => type);

  it('one document a run, of every type, with the fields that docs/json.md gives', async () => {
    const seen = new Set<string>();
    const expectTypes = async (
      type: string,
      args: readonly string[],
      code: number,
      env = {},
    ): Promise<void> => {
      expect(types(await json(args, code, env))).toEqual([type]);
      seen.add(type);
    };
    await expectTypes('no-lockfile', ['restore', ...DEPS], 1);
    makeProject(sandbox.project);
    await expectTypes('off', ['restore', ...DEPS], 1, { CACHE_S3_BUCKET: undefined });
    await expectTypes('key', ['key', ...DEPS], 0);
    await expectTypes('miss', ['restore', ...DEPS], 1);
    await expectTypes('explained', ['key', ...DEPS, '--explain'], 0);
    await expectTypes('saved', ['save', ...DEPS], 0);
    await expectTypes('exists', ['save', ...DEPS], 0);
    await expectTypes('in-place', ['restore', ...DEPS], 0);
    wipe(sandbox.project, 'deps');
    await expectTypes('nothing-installed', ['save', ...DEPS], 1);
    await expectTypes('restored', ['restore', ...DEPS], 0);
    await expectTypes('ensured', ['ensure', ...DEPS], 0);
    wipe(sandbox.project, 'deps');
    await expectTypes('ensured', ['ensure', ...DEPS], 0);
    writeFiles(sandbox.project, { 'deps.lock': 'two\n' });
    await expectTypes('fallback', ['restore', ...DEPS, '--fallback'], 1);
    await expectTypes('install-failed', ['ensure', ...DEPS, '--', 'false'], 1);
    await expectTypes('failed', ['restore', ...DEPS], 3, { AWS_SECRET_ACCESS_KEY: 'wrong' });
    makeNpmProject(sandbox.project);
    wipe(sandbox.project, 'node_modules/one/package.json');
    expectExit(await sandbox.run(['save', 'npm', '--no-verify']), 0);
    await expectTypes('unverified', ['restore', 'npm'], 4);
    await expectTypes('started', ['save', 'npm', '--background'], 0, {
      CACHE_LOCAL_DIR: join(sandbox.folder, 'l'),
    });
    expect([...seen].sort()).toEqual(Object.keys(FIELDS).sort());
  });

  it('docs/json.md has a row for each type, with every field', () => {
    const rows = new Map(
      docs('json.md')
        .split('\n')
        .flatMap((line) => {
          const [, type, , fields] = /^\| `([\w-]+)` \| (.*?) \| (.*) \|$/.exec(line) ?? [];
          return type === undefined || fields === undefined ? [] : [[type, fields] as const];
        }),
    );
    for (const [type, fields] of Object.entries(FIELDS)) {
      const row = rows.get(type);
      expect(row, type).toBeDefined();
      const text = row!.startsWith('as `restored`') ? `${row} ${rows.get('restored')}` : row!;
      for (const field of fields) expect(text, `${type}.${field}`).toContain(`\`${field}\``);
    }
  });

  it('list, inspect, prune and keygen are documents too, and a failure of all is one', async () => {
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const parse = async (...args: string[]): Promise<Record<string, unknown>> =>
      JSON.parse(expectExit(await sandbox.run([...args, '--json']), 0).stdout) as Record<string, unknown>;
    const entry = {
      key: sandbox.key,
      url: `s3://${sandbox.bucket}/${sandbox.key}`,
      recipe: 'deps',
      etag: sandbox.etag,
    };
    expect(await parse('list')).toMatchObject({ entries: [entry], totalBytes: expect.any(Number) as number });
    expect(await parse('inspect', sandbox.key)).toMatchObject({
      key: sandbox.key,
      members: expect.arrayContaining([
        expect.objectContaining({ path: 'deps/tool/run.sh', type: 'file', mode: 0o755, size: 20 }),
      ]) as unknown,
    });
    expect(await parse('prune', '--keep', '1')).toMatchObject({
      dryRun: false,
      deleted: [],
      deletedBytes: 0,
      kept: 1,
    });
    expect(await parse('keygen', 'pair')).toEqual({
      signingKey: join(sandbox.project, 'pair.key'),
      verifyKey: join(sandbox.project, 'pair.pub'),
    });
    const env = { CACHE_TIMEOUT: 'soon' };
    const failed = expectExit(await sandbox.run(['restore', '--json'], { env }), 2);
    expect(JSON.parse(failed.stdout)).toMatchObject({ exitCode: 2, error: { code: 'CONFIG_INVALID' } });
  });
});

describe.skipIf(lacks('script'))('on a terminal', () => {
  it('a save that takes long shows a bar, and takes it away; a quick one shows none', async () => {
    makeProject(sandbox.project, { bigBytes: 1_000_000 });
    // util-linux: a terminal in place of the pipes that tests have.
    const run = async (command: string): Promise<string> => {
      const text = `stty cols 120; sandbox-cache ${command} ${DEPS.join(' ')}`;
      return expectExit(await sandbox.script(`script -qec '${text}' /dev/null`), 0).stdout;
    };
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'PutObject',
      effect: { type: 'delay', ms: 1500 },
    });
    const saved = await run('save');
    expect(saved).toMatch(
      /\r\u001b\[2Kdeps up \[#{30}\] 1\.0 MB of 1\.0 MB, sending the last of it, 6 files/,
    );
    expect(saved).toMatch(/\r\u001b\[2Kdeps saved to s3:[^\n]+\n$/);
    expect(await run('save')).not.toContain('\u001b');
  });
});

describe('--quiet, pipes and help', () => {
  it('--quiet prints nothing on stdout, errors still on stderr', async () => {
    makeProject(sandbox.project);
    for (const args of [
      ['restore', ...DEPS],
      ['save', ...DEPS],
      ['restore', ...DEPS],
      ['list'],
      ['prune', '--keep', '9'],
    ]) {
      const result = await sandbox.run([...args, '--quiet']);
      expect(result.stdout + result.stderr, args.join(' ')).toBe('');
    }
    const failed = await sandbox.run(['list', '-q'], { env: { AWS_SECRET_ACCESS_KEY: 'wrong' } });
    expect(failed).toMatchObject({ code: 3, stdout: '' });
    expect(failed.stderr).toMatch(/^\[cache\] error: /);
  });

  it('a reader that goes away is no error: | head -1, and a closed stdout', async () => {
    makeProject(sandbox.project);
    // More than a pipe holds.
    const files = Array.from(
      { length: 2000 },
      (_, i) => [`deps/a-rather-long-name-for-a-file-${i}`, ''] as const,
    );
    writeFiles(sandbox.project, Object.fromEntries(files));
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const head = await sandbox.script(`set -euo pipefail; sandbox-cache inspect ${sandbox.key} | head -1`);
    expectExit(head, 0);
    expect(head.stdout.split('\n')).toHaveLength(2);
    expect(head.stderr).toBe('');
    const closed = expectExit(await sandbox.script(`sandbox-cache inspect ${sandbox.key} >&-`), 0);
    expect(closed.stderr).toBe('');
    const whole = expectExit(await sandbox.script(`sandbox-cache inspect ${sandbox.key} | wc -l`), 0);
    expect(Number(whole.stdout)).toBeGreaterThan(2000);
  });

  it.skipIf(!existsSync('/dev/full'))(
    'a full disk: results that are lost are told, and are a failure',
    async () => {
      for (const args of ['list', 'list --json', '--help']) {
        const lost = expectExit(await sandbox.script(`sandbox-cache ${args} > /dev/full`), 3);
        expect(lost.stderr).toMatch(
          /^\[cache\] error: stdout cannot be written \(ENOSPC\)[^\n]*\[DISK_FULL\]\n$/,
        );
      }
      // An error that cannot be told still has its exit code.
      expectExit(await sandbox.script('sandbox-cache list nonsense 2> /dev/full'), 2);
    },
  );

  it.each(['', ...COMMANDS, 'help'])('%s --help shows examples', async (command) => {
    const result = expectExit(await sandbox.run([...(command === '' ? [] : [command]), '--help']), 0);
    expect(result.stdout).toMatch(/^Usage: sandbox-cache/);
    expect(result.stdout).toMatch(/^Examples:\n( {2}# .*\n)? {2}\$ .*sandbox-cache /m);
    expect(result.stderr).toBe('');
  });

  it.each([[['--help']], [['help']], [['--quiet', 'help']], [['--help', 'restore']], [['-q', '-h', 'save']]])(
    '%j lists every command',
    async (args) => {
      const { stdout } = await sandbox.run(args);
      const listed = [...stdout.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name);
      expect(listed).toEqual(expect.arrayContaining(COMMANDS));
    },
  );

  it('a command that there is not: what was meant, and 2', async () => {
    const { stderr } = expectExit(await sandbox.run(['restor', 'npm']), 2);
    expect(stderr).toContain('. Did you mean restore? sandbox-cache --help shows');
  });

  it('--version is the package', async () => {
    const { version } = JSON.parse(docs('../package.json')) as { version: string };
    expect(expectExit(await sandbox.run(['--version']), 0).stdout).toBe(`${version}\n`);
  });
});

describe('what a start loads', () => {
  /** The files of dist/ that a run loaded, by V8's own account. */
  async function loaded(
    args: readonly string[],
    env: Record<string, string | undefined> = {},
  ): Promise<string[]> {
    const coverage = join(sandbox.folder, 'coverage');
    await sandbox.run(args, { env: { ...env, NODE_V8_COVERAGE: coverage } });
    const scripts = readdirSync(coverage).flatMap((name) => {
      const { result } = JSON.parse(readFileSync(join(coverage, name), 'utf8')) as {
        result: { url: string }[];
      };
      return result.map(({ url }) => url);
    });
    wipe(sandbox.folder, 'coverage');
    return scripts.filter((url) => url.includes('/dist/')).map((url) => fileURLToPath(url));
  }
  const holdSdk = (paths: readonly string[]): boolean =>
    paths.some((path) => readFileSync(path, 'utf8').includes('AbortMultipartUpload'));

  it('key, a restore in place and one without a bucket load no SDK; a restore that has to ask does', async () => {
    makeNpmProject(sandbox.project);
    expectExit(await sandbox.run(['save', 'npm']), 0);
    const forKey = await loaded(['key', 'npm']);
    expect(holdSdk(forKey)).toBe(false);
    expect(forKey.filter((path) => readFileSync(path, 'utf8').includes('bash completion for'))).toEqual([]);
    expect(holdSdk(await loaded(['restore', 'npm']))).toBe(false);
    expect(holdSdk(await loaded(['restore', 'npm'], { CACHE_S3_BUCKET: undefined }))).toBe(false);
    wipe(sandbox.project, 'node_modules');
    expect(holdSdk(await loaded(['restore', 'npm']))).toBe(true);
  });
});

describe('secrets', () => {
  const CANARY = 'CANARYvalueThatMustNeverBePrinted';

  it('never appear in what any command or failure prints', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const pemCanary = pem.split('\n')[1]!;
    makeProject(sandbox.project);
    writeFileSync(
      join(sandbox.project, '.env.claude-sandbox'),
      `GITHUB_TOKEN=${CANARY}\nTELEGRAM_BOT_TOKEN=${CANARY}\nAWS_SECRET_ACCESS_KEY=${CANARY}\nAWS_SESSION_TOKEN=${CANARY}\n`,
    );
    chmodSync(join(sandbox.project, '.env.claude-sandbox'), 0o644);
    const loud = { CACHE_DEBUG: 'true', CACHE_VERBOSE: 'true', CACHE_SIGNING_KEY: pem };
    const wrong = { AWS_SECRET_ACCESS_KEY: CANARY, AWS_SESSION_TOKEN: CANARY };
    const local = { CACHE_LOCAL_DIR: join(sandbox.folder, 'local') };
    const host = sandbox.server.endpoint.replace('http://', '');
    // Not installed, so that ensure runs the installer.
    const OTHER = ['other', '--lockfile', 'deps.lock', '--path', 'other'];
    const printed: string[] = [];
    const run = async (
      args: readonly string[],
      env: Record<string, string | undefined> = {},
    ): Promise<void> => {
      // Every other run as JSON: an error is the same text in both.
      const json = printed.length % 2 === 0 ? [] : ['--json'];
      const { stdout, stderr } = await sandbox.run([...json, ...args], { env: { ...loud, ...env } });
      printed.push(`$ ${args.join(' ')}\n${stdout}${stderr}`);
    };
    const COMMANDS = [
      ['restore', ...DEPS],
      ['save', ...DEPS],
      ['save', ...DEPS, '--force'],
      ['key', ...DEPS, '--explain'],
      ['list'],
      ['inspect', 'deps-0123456789abcdef-linux-x64.tar.gz'],
      ['prune', '--older-than', '30d'],
      ['ensure', ...DEPS, '--', 'false'],
      // What anybody on the machine sees of our process, and of the installer's.
      ['ensure', ...OTHER, '--', 'sh', '-c', 'cat /proc/$PPID/cmdline /proc/$$/cmdline; exit 1'],
      ['warm', ...DEPS],
      ['keygen', 'pair'],
      ['save', ...DEPS, '--background'],
    ];
    for (const args of COMMANDS) {
      await run(args);
      await run(args, wrong);
    }
    // What is wrong in the settings themselves.
    await run(['list'], { AWS_ENDPOINT_URL_S3: `http://user:${CANARY}@${host}` });
    await run(['list'], { AWS_ENDPOINT_URL_S3: `user:${CANARY}@${host}` });
    await run(['list'], {
      HTTP_PROXY: `http://user:${CANARY}@127.0.0.1:1`,
      HTTPS_PROXY: `http://user:${CANARY}@127.0.0.1:1`,
    });
    await run(['list'], {
      AWS_ENDPOINT_URL_S3: 'https://127.0.0.1:1',
      HTTPS_PROXY: `http://user:${CANARY}@127.0.0.1:1`,
    });
    const proxy = await startConnectProxy(sandbox.server.port, { status: 407 });
    await run(['list'], {
      AWS_ENDPOINT_URL_S3: 'https://s3.example.com',
      HTTPS_PROXY: proxy.url.replace('//', `//user:${CANARY}@`),
    });
    await proxy.close();
    await run(['list'], { AWS_ENDPOINT_URL_S3: `https://user:${CANARY}@${host}` });
    await run(['list'], { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined });
    await run(['restore', ...DEPS], { CACHE_SIGNING_KEY: CANARY });
    await run(['save', ...DEPS, '--force'], {
      CACHE_SIGNING_KEY: `-----BEGIN PRIVATE KEY-----\n${CANARY}\n-----END PRIVATE KEY-----`,
    });
    await run(['restore', ...DEPS], { CACHE_VERIFY_KEY: pem, ...local });
    // An entry that fails its checks, a tree that cannot be saved, a wait that ends.
    await run(['save', ...DEPS, '--force']);
    sandbox.alter((body) => Buffer.concat([body, Buffer.from(CANARY)]));
    await run(['save', ...DEPS, '--force'], { CACHE_MAX_FILES: '1' });
    wipe(sandbox.project, 'deps');
    await run(['restore', ...DEPS]);
    await run(['restore', ...DEPS, '--evict'], { CACHE_READONLY: 'true' });
    await run(['restore', ...DEPS], { CACHE_TIMEOUT: '0.001' });
    // A file that does not parse.
    for (const line of [`not a line ${CANARY}`, `CACHE_KEY_SALT="${CANARY}`, `CACHE_KEY_SALT=$${CANARY}`]) {
      writeFiles(sandbox.project, { '.env.claude-sandbox': `${line}\n` });
      await run(['list']);
    }
    wipe(sandbox.project, '.env.claude-sandbox');
    // A server that repeats what it was sent.
    sandbox.server.faults.add({
      match: () => true,
      times: 100,
      effect: {
        type: 'error',
        status: 400,
        code: 'Strange',
        message: `Signature=${CANARY} and X-Amz-Security-Token: ${CANARY}`,
      },
    });
    await run(['list']);
    const all = printed.join('\n');
    const met = ['ARCHIVE_CORRUPT', 'ARCHIVE_LIMIT', 'CONFIG_INVALID', 'TIMEOUT'];
    met.push('STORE_BAD_CREDENTIALS', 'STORE_FAILED', 'STORE_TLS', 'STORE_UNREACHABLE');
    expect(met.filter((code) => !all.includes(code))).toEqual([]);
    expect(all).toContain('ensure\0other\0--lockfile');
    const made = readFileSync(join(sandbox.project, 'pair.key'), 'utf8').split('\n')[1]!;
    expect(printed.filter((text) => text.includes(made))).toEqual([]);
    expect(printed.filter((text) => text.includes(CANARY))).toEqual([]);
    expect(printed.filter((text) => text.includes(pemCanary))).toEqual([]);
    expect(printed.filter((text) => text.includes(sandbox.server.credentials.secretAccessKey))).toEqual([]);
  });
});

it('docs/errors.md explains every code', () => {
  const text = docs('errors.md');
  for (const code of Object.keys(ERROR_KINDS))
    expect(text, code).toMatch(new RegExp(`^\\| \`${code}\` \\|`, 'm'));
});

it('colours on a terminal alone, or as FORCE_COLOR and NO_COLOR say', async () => {
  mkdirSync(join(sandbox.project, 'x'));
  const red = '\u001b[31m';
  const run = async (env: Record<string, string>) =>
    (await sandbox.run(['restore', 'nothing'], { env })).stderr;
  expect(await run({})).not.toContain(red);
  expect(await run({ FORCE_COLOR: '1' })).toContain(red);
  expect(await run({ FORCE_COLOR: '1', NO_COLOR: '1' })).not.toContain(red);
});

describe('names that a terminal would obey', () => {
  const hostile = 'deps/\u001b[2J\u202egpj.exe\ndeps/forged';

  it('are escaped in a table, in --json and in errors', async () => {
    makeProject(sandbox.project);
    writeFiles(sandbox.project, { [hostile]: 'x' });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const [key] = (await sandbox.run(['key', ...DEPS])).stdout.split('\n');

    const table = expectExit(await sandbox.run(['inspect', key!]), 0).stdout;
    expect(table).toContain('deps/\\u001b[2J\\u202egpj.exe\\u000adeps/forged');
    expect(table).not.toMatch(/[\u001b\u202e]/);

    const json = expectExit(await sandbox.run(['inspect', key!, '--json']), 0).stdout;
    expect(json).not.toMatch(/[\u001b\u202e]/);
    const { members } = JSON.parse(json) as { members: { path: string }[] };
    expect(members.map(({ path }) => path)).toContain(hostile);

    const unknown = await sandbox.run(['inspect', 'x\u001b[2J\nforged.tar.gz']);
    expect(expectExit(unknown, 2).stderr).toMatch(/^\[cache\] error: [^\n\u001b]+ \[USAGE\]\n$/);
    const flag = await sandbox.run(['--json', '--\u001b[2J\u202e']);
    expect(expectExit(flag, 2).stderr).toMatch(/^\[cache\] error: [^\n\u001b\u202e]+ \[USAGE\]\n$/);
  });
});
