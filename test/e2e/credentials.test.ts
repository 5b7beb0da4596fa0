/** Sources of credentials that fail, hang or never let go, and settings of a profile that are none. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEPS, expectExit, useSandbox, writeFiles } from './support.ts';

const sandbox = useSandbox();
const KEYS = {
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_EC2_METADATA_DISABLED: 'true',
};

function env(config: string): Record<string, string | undefined> {
  writeFiles(sandbox.folder, { config: `[default]\n${config}\n`, 'project/deps.lock': 'one\n' });
  return {
    ...KEYS,
    AWS_CONFIG_FILE: join(sandbox.folder, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(sandbox.folder, 'none'),
  };
}

function credentials(): string {
  const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey } = sandbox.server.credentials;
  return JSON.stringify({ Version: 1, AccessKeyId, SecretAccessKey });
}

describe('credential_process', () => {
  /** `script` is what the process does. */
  function processEnv(script: string): Record<string, string | undefined> {
    writeFiles(sandbox.folder, { 'give.sh': `#!/bin/sh\necho run >>${sandbox.folder}/runs\n${script}\n` });
    return env(`credential_process = ${sandbox.folder}/give.sh --secret canary`);
  }

  it.each([
    ['a status', 'echo "no token" >&2; exit 3', /give\.sh ended with status 3: no token\./],
    ['something else', 'echo "<html>"', /give\.sh printed no JSON\./],
    ['nothing', 'exit 0', /give\.sh printed no JSON\./],
    ['half a pair', `echo '{"Version":1,"AccessKeyId":"x"}'`, /give\.sh printed no AccessKeyId or no Secret/],
    [
      'old ones',
      `echo '{"Version":1,"AccessKeyId":"x","SecretAccessKey":"y","Expiration":"2001-01-01T00:00:00Z"}'`,
      /give\.sh printed credentials that have expired/,
    ],
    ['no end', 'while :; do echo 0123456789012345678901234567890123456789; done', /more than 1 MiB/],
  ])('that answers with %s is named, with what it said', async (_, script, said) => {
    const result = expectExit(await sandbox.run(['restore', ...DEPS], { env: processEnv(script) }), 3);
    expect(result.stderr).toMatch(said);
    expect(result.stderr).toContain('[STORE_NO_CREDENTIALS]');
    expect(result.stderr).not.toContain('canary');
    expect(readFileSync(join(sandbox.folder, 'runs'), 'utf8')).toBe('run\n');
  });

  it('that leaves a daemon with its output open is waited for no longer than it runs', async () => {
    const script = `sleep 1000 & echo $! >${sandbox.folder}/pid\necho '${credentials()}'`;
    const running = await sandbox.start(['restore', ...DEPS], { env: processEnv(script), timeoutMs: 14_000 });
    expectExit(await running.done, 1);
    expect(isAlive(Number(readFileSync(join(sandbox.folder, 'pid'), 'utf8')))).toBe(false);
  });

  it('that does nothing is ended soon, and named with what it said', async () => {
    const script = `echo $$ >${sandbox.folder}/pid\necho "waiting for the vault" >&2\nsleep 1000`;
    const result = expectExit(await sandbox.run(['restore', ...DEPS], { env: processEnv(script) }), 3);
    expect(result.stderr).toMatch(/give\.sh hung: it did nothing for 2\.5 s: waiting for the vault/);
    // One that is busy has 15 s.
    expect(result.ms).toBeLessThan(8000);
    expect(isAlive(Number(readFileSync(join(sandbox.folder, 'pid'), 'utf8')))).toBe(false);
  });

  it.each([
    ['works', 'i=0; while [ $i -lt 3000000 ]; do i=$((i+1)); done'],
    [
      'waits for the network',
      `${process.execPath} -e "setTimeout(process.exit, 4000); require('net').connect(process.env.PORT)"`,
    ],
  ])('that %s for longer is waited for', async (_, script) => {
    const given = `${script}\necho '${credentials()}'`;
    const env = { ...processEnv(given), PORT: String(sandbox.server.port) };
    const result = expectExit(await sandbox.run(['restore', ...DEPS], { env }), 1);
    expect(result.stderr).toMatch(/^(\[cache\] warning: Waiting for the credential_process \S+\n)?$/);
  });

  it('that waits for the network is told about, and ends with us', async () => {
    const wait = `require('net').connect(${sandbox.server.port}); setTimeout(() => {}, 1e6)`;
    const script = `echo $$ >${sandbox.folder}/pid\nexec ${process.execPath} -e "${wait}"`;
    const running = await sandbox.start(['restore', ...DEPS], { env: processEnv(script) });
    await running.printed('Waiting for the credential_process');
    const pid = Number(readFileSync(join(sandbox.folder, 'pid'), 'utf8'));
    expect(isAlive(pid)).toBe(true);
    running.child.kill('SIGTERM');
    await running.done;
    expect(isAlive(pid)).toBe(false);
  });

  it('that says something on stderr and answers is used', async () => {
    const script = `echo careful >&2\necho '${credentials()}'`;
    expectExit(await sandbox.run(['restore', ...DEPS], { env: processEnv(script) }), 1);
  });
});

it.each(['us east/1#@x', 'a.b', 'evil.example:1/x'])(
  'a profile whose region is "%s": exit 2',
  async (region) => {
    const result = expectExit(
      await sandbox.run(['restore', ...DEPS], {
        env: { ...env(`region = ${region}`), AWS_REGION: undefined },
      }),
      2,
    );
    expect(result.stderr).toContain(`region of the AWS profile "default" is "${region}"`);
    expect(result.stderr).toContain('[CONFIG_INVALID]');
  },
);

/** A process that nobody has waited for yet is dead all the same. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
