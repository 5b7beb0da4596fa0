/** What a project that somebody else wrote can make the built command do, and what it cannot. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CLI } from '../support/cli.ts';
import { lacks } from '../support/programs.ts';
import { DEPS, expectExit, makeProject, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();
const ENV_FILE = '.env.claude-sandbox';

describe('the project’s file leads nothing away', () => {
  it('credentials of the environment do not go to an endpoint of the file', async () => {
    makeProject(sandbox.project);
    const { AWS_ENDPOINT_URL_S3: endpoint } = sandbox.env;
    writeFiles(sandbox.project, { [ENV_FILE]: `\nAWS_ENDPOINT_URL=${endpoint}\n` });
    for (const command of ['restore', 'save', 'ensure', 'list']) {
      const args = command === 'list' ? [command] : [command, ...DEPS];
      const env = { AWS_ENDPOINT_URL_S3: undefined };
      const result = expectExit(await sandbox.run(args, { env }), 2);
      expect(result.stderr).toContain(`${ENV_FILE} line 2 sets AWS_ENDPOINT_URL`);
      expect(result.stderr).toContain('CACHE_TRUST_ENV_FILE=true');
    }
    expect(sandbox.server.requests).toEqual([]);
    const env = { AWS_ENDPOINT_URL_S3: undefined, CACHE_TRUST_ENV_FILE: 'true' };
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    expect(sandbox.keys).toHaveLength(1);
  });

  it('an endpoint of the environment is the one that is used', async () => {
    makeProject(sandbox.project);
    writeFiles(sandbox.project, { [ENV_FILE]: 'AWS_ENDPOINT_URL_S3=http://127.0.0.1:9\n' });
    const env = { AWS_ENDPOINT_URL_S3: undefined, AWS_ENDPOINT_URL: sandbox.env['AWS_ENDPOINT_URL_S3'] };
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    expect(sandbox.keys).toHaveLength(1);
  });

  it('a key of the environment signs nothing for a store of the file', async () => {
    makeProject(sandbox.project);
    const key = join(sandbox.folder, 'pair');
    expectExit(await sandbox.run(['keygen', key]), 0);
    writeFiles(sandbox.project, { [ENV_FILE]: 'CACHE_LOCAL_DIR=loot\n' });
    const env = { CACHE_S3_BUCKET: '', CACHE_SIGNING_KEY: `${key}.key` };
    const result = expectExit(await sandbox.run(['save', ...DEPS], { env }), 2);
    expect(result.stderr).toContain(`${ENV_FILE} line 1 sets CACHE_LOCAL_DIR`);
  });
});

describe('secrets stay with us', () => {
  const SECRETS = {
    AWS_SESSION_TOKEN: 'canary-token',
    AWS_WEB_IDENTITY_TOKEN_FILE: '/canary-file',
    AWS_CONTAINER_AUTHORIZATION_TOKEN: 'canary-container',
  };

  it('neither the installer nor a recipe’s commands get them', async () => {
    const { sign } = await keygen();
    writeFiles(sandbox.project, {
      'deps.lock': 'one\n',
      '.sandbox-cache.json': JSON.stringify({
        recipes: {
          deps: {
            lockfiles: ['deps.lock'],
            paths: ['deps'],
            runtime: 'env >> seen; echo x1',
            install: 'env >> seen; mkdir deps; touch deps/file',
            verify: 'env >> seen; test -f deps/file',
          },
        },
      }),
    });
    // A session token of no session would be refused by the server.
    const secrets = { ...SECRETS, AWS_SESSION_TOKEN: undefined, AWS_SECURITY_TOKEN: 'canary' };
    const env = { ...secrets, CACHE_SIGNING_KEY: readFileSync(sign, 'utf8').replaceAll('\n', '\\n') };
    expectExit(await sandbox.run(['ensure', 'deps'], { env }), 0);
    const seen = readFileSync(join(sandbox.project, 'seen'), 'utf8');
    expect(seen.match(/^AWS_ENDPOINT_URL_S3=/gm)?.length).toBeGreaterThanOrEqual(3);
    expect(seen).not.toMatch(/canary|^AWS_(ACCESS|SECRET|SESSION)|^CACHE_SIGNING_KEY/m);
    // Signed all the same.
    wipe(sandbox.project, 'deps');
    expectExit(
      await sandbox.run(['restore', 'deps'], { env: { CACHE_VERIFY_KEY: `${sign.slice(0, -4)}.pub` } }),
      0,
    );
  });

  it('a failed install says what it did without; CACHE_INSTALL_CREDENTIALS gives it back', async () => {
    makeProject(sandbox.project);
    wipe(sandbox.project, 'deps');
    const install = ['--', 'sh', '-c', 'test -n "$AWS_SESSION_TOKEN" && mkdir deps'];
    const failed = expectExit(await sandbox.run(['ensure', ...DEPS, ...install], { env: SECRETS }), 1);
    expect(failed.stderr).toMatch(
      /ended with status 1\. It ran without AWS_ACCESS_KEY_ID, .*CACHE_INSTALL_CREDENTIALS=true\.\n/,
    );
    const env = { ...SECRETS, CACHE_INSTALL_CREDENTIALS: 'true' };
    expectExit(await sandbox.run(['ensure', ...DEPS, ...install], { env }), 0);
  });

  async function keygen(): Promise<{ sign: string }> {
    const path = join(sandbox.folder, 'pair');
    expectExit(await sandbox.run(['keygen', path]), 0);
    return { sign: `${path}.key` };
  }
});

describe('variables of a recipe', () => {
  it('count in the project’s file as in the environment, for the key and for its commands', async () => {
    writeFiles(sandbox.project, {
      'deps.lock': 'one\n',
      '.sandbox-cache.json': JSON.stringify({
        recipes: {
          deps: {
            lockfiles: ['deps.lock'],
            paths: ['deps'],
            variables: ['DEPS_EXTRAS'],
            runtime: 'echo "runtime$DEPS_EXTRAS"',
            install: 'mkdir deps; echo "$DEPS_EXTRAS $DEPS_OTHER" > deps/extras',
          },
        },
      }),
    });
    const key = async (env: Record<string, string> = {}): Promise<string> =>
      expectExit(await sandbox.run(['key', 'deps'], { env }), 0).stdout.trim();
    const [plain, withExtras] = [await key(), await key({ DEPS_EXTRAS: 'all' })];
    expect(withExtras).not.toBe(plain);
    writeFiles(sandbox.project, { [ENV_FILE]: 'DEPS_EXTRAS=all\nDEPS_OTHER=1\n' });
    expect(await key()).toBe(withExtras);
    expect(await key()).toContain('runtimeall');
    expect(await key({ DEPS_EXTRAS: 'few' })).toContain('runtimefew');
    expectExit(await sandbox.run(['ensure', 'deps']), 0);
    expect(readFileSync(join(sandbox.project, 'deps/extras'), 'utf8')).toBe('all \n');
    expect(sandbox.key).toBe(withExtras);
  });
});

describe('what is no ordinary file', () => {
  const makers: [string, (path: string) => void][] = [
    ['a FIFO', (path) => void execFileSync('mkfifo', [path])],
    ['a link to /dev/zero', (path) => symlinkSync('/dev/zero', path)],
  ];

  describe.each(makers)('%s', (_, make) => {
    it.each([ENV_FILE, '.sandbox-cache.json'])('%s: exit 2 names it', async (name) => {
      makeProject(sandbox.project);
      make(join(sandbox.project, name));
      const result = expectExit(await sandbox.run(['restore'], { timeoutMs: 30_000 }), 2);
      expect(result.stderr).toContain(`${name} is not a regular file`);
    });

    it.each([
      'CACHE_SIGNING_KEY',
      'CACHE_VERIFY_KEY',
      'AWS_CA_BUNDLE',
      'AWS_CONFIG_FILE',
      'AWS_SHARED_CREDENTIALS_FILE',
      'AWS_WEB_IDENTITY_TOKEN_FILE',
      'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
    ])('%s: exit 2 names it and the file', async (name) => {
      makeProject(sandbox.project);
      const path = join(sandbox.folder, 'odd');
      make(path);
      const env = { [name]: path };
      const result = expectExit(await sandbox.run(['save', ...DEPS], { env, timeoutMs: 30_000 }), 2);
      expect(result.stderr).toContain(`${name}: ${path} is not a regular file`);
    });

    it('~/.aws/config: the same', async () => {
      makeProject(sandbox.project);
      const home = join(sandbox.folder, 'home');
      mkdirSync(join(home, '.aws'), { recursive: true });
      make(join(home, '.aws/config'));
      const result = expectExit(await sandbox.run(['save', ...DEPS], { home, timeoutMs: 30_000 }), 2);
      expect(result.stderr).toContain(`AWS_CONFIG_FILE: ${home}/.aws/config is not a regular file`);
    });
  });

  it('a token file that a profile names: the same', async () => {
    makeProject(sandbox.project);
    const home = join(sandbox.folder, 'home');
    const token = join(sandbox.folder, 'token');
    execFileSync('mkfifo', [token]);
    writeFiles(home, {
      '.aws/config': `[default]\nrole_arn=arn:aws:iam::1:role/x\nweb_identity_token_file=${token}\n`,
    });
    const env = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };
    const result = expectExit(await sandbox.run(['save', ...DEPS], { home, env, timeoutMs: 30_000 }), 2);
    expect(result.stderr).toContain(`web_identity_token_file: ${token} is not a regular file`);
  });

  it('/dev/null is how people say that there is none', async () => {
    makeProject(sandbox.project);
    symlinkSync('/dev/null', join(sandbox.project, ENV_FILE));
    const env = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
  });
});

describe('with caching off', () => {
  /** On a terminal of its own. */
  async function onTerminal(command: string, env: Record<string, string> = {}): Promise<string> {
    const line = `node ${CLI} ${command}`;
    const result = await sandbox.script(`script -qec '${line}' /dev/null < /dev/null`, {
      env: { CACHE_S3_BUCKET: '', ...env },
    });
    return result.stdout;
  }

  it.skipIf(lacks('script')).each(['restore', 'save'])('%s says so to a person', async (command) => {
    makeProject(sandbox.project);
    const said = await onTerminal([command, ...DEPS].join(' '));
    expect(said).toContain('Caching is off: CACHE_S3_BUCKET is not set');
    expect(await onTerminal([command, ...DEPS].join(' '), { CI: 'true' })).toBe('');
  });

  it('is silent where nobody watches, but for a name that is almost right', async () => {
    makeProject(sandbox.project);
    const env = { CACHE_S3_BUCKET: '' };
    expect(expectExit(await sandbox.run(['restore', ...DEPS], { env }), 1).stderr).toBe('');
    writeFiles(sandbox.project, { [ENV_FILE]: 'CACHE_S3_BUKET=x\n' });
    const { stderr } = expectExit(await sandbox.run(['restore', ...DEPS], { env }), 1);
    expect(stderr).toMatch(/^\[cache\] warning: CACHE_S3_BUKET .* did you mean CACHE_S3_BUCKET\?[^\n]*\n$/);
  });
});
