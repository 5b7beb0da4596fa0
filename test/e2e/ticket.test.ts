/** A ticket: a container without credentials restores what it was made for, and can do nothing else. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { decodeTicket, encodeTicket } from '../../src/ticket.ts';
import { runCli } from '../support/cli.ts';
import { availableServers, describeEachServer } from '../support/servers.ts';
import {
  DEPS,
  expectExit,
  makeNpmProject,
  makeProject,
  treeOf,
  useFolder,
  useSandbox,
  wipe,
  writeFiles,
  type RunOptions,
} from './support.ts';

const sandbox = useSandbox();
const folder = useFolder();

/** No bucket, no keys, no region, no endpoint. */
const NOTHING = {
  CACHE_S3_BUCKET: undefined,
  AWS_ENDPOINT_URL_S3: undefined,
  AWS_REGION: undefined,
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
};

/** @returns the line that stdout must be */
async function makeTicket(...args: string[]): Promise<string> {
  const { stdout, stderr } = expectExit(await sandbox.run(['ticket', ...DEPS, ...args]), 0);
  expect(stdout).toMatch(/^CACHE_TICKET=t1\.[\w-]+\n$/);
  expect(stderr).toMatch(
    /^The ticket works until \d{4}-\d\d-\d\dT[^\n]+ It reads:\nclaude-sandbox-cache\/deps-/,
  );
  return stdout.trim().slice('CACHE_TICKET='.length);
}

const inContainer = (ticket: string, args: readonly string[], { env = {} }: RunOptions = {}) =>
  sandbox.run(args, { env: { ...NOTHING, CACHE_TICKET: ticket, ...env } });

beforeEach(() => makeProject(sandbox.project));

describe('with the entry saved', () => {
  beforeEach(async () => void expectExit(await sandbox.run(['save', ...DEPS]), 0));

  it('restores without credentials, by ranged reads of the one object', async () => {
    makeProject(sandbox.project, { bigBytes: 20_000_000 });
    expectExit(await sandbox.run(['save', ...DEPS, '--force']), 0);
    const before = treeOf(join(sandbox.project, 'deps'));
    const ticket = await makeTicket();
    wipe(sandbox.project, 'deps');
    sandbox.server.requests.length = 0;
    const { stdout, stderr } = expectExit(await inContainer(ticket, ['restore', ...DEPS]), 0);
    expect(stdout).toMatch(/^deps restored from S3 cache/);
    expect(stderr).toBe('');
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    const { requests } = sandbox.server;
    expect(requests.length).toBeGreaterThan(1);
    expect(new Set(requests.map(({ operation }) => operation))).toEqual(new Set(['GetObject']));
    const headers = requests.map(({ headers }) => headers);
    expect(headers.every((one) => one['range'] !== undefined && one['authorization'] === undefined)).toBe(
      true,
    );
    expect(headers.slice(1).every((one) => one['if-match'] !== undefined)).toBe(true);
    expectExit(await inContainer(ticket, ['restore', ...DEPS]), 0);
  });

  it('list and inspect show what it holds; nothing can be written or made of it', async () => {
    const ticket = await makeTicket();
    expect(expectExit(await inContainer(ticket, ['list']), 0).stdout).toMatch(/^1 entry, /m);
    expect(expectExit(await inContainer(ticket, ['inspect', ...DEPS]), 0).stdout).toContain(
      'deps/tool/run.sh',
    );
    const saved = expectExit(await inContainer(ticket, ['save', ...DEPS, '--force', '-v']), 0);
    expect(saved.stderr).toContain('Caching is off: CACHE_TICKET only reads');
    expectExit(await inContainer(ticket, ['warm', ...DEPS]), 2);
    expectExit(await inContainer(ticket, ['ticket', ...DEPS]), 2);
    expect(expectExit(await inContainer(ticket, ['prune', '--keep', '0', '--yes']), 2).stderr).toContain(
      'CACHE_TICKET',
    );
    expect(sandbox.keys).toHaveLength(1);
  });

  it('a directory in front of it keeps copies, which an expired ticket does not throw away', async () => {
    const env = { CACHE_LOCAL_DIR: join(sandbox.folder, 'near') };
    const ticket = await makeTicket('--expires', '1s');
    await expect
      .poll(async () => (await inContainer(ticket, ['restore', ...DEPS])).stderr, {
        timeout: 20_000,
        interval: 300,
      })
      .toBe('');
    wipe(sandbox.project, 'deps');
    const good = await makeTicket();
    expectExit(await inContainer(good, ['restore', ...DEPS], { env }), 0);
    for (const one of [good, ticket]) {
      wipe(sandbox.project, 'deps');
      const { stdout } = expectExit(await inContainer(one, ['restore', ...DEPS], { env }), 0);
      expect(stdout).toMatch(/^deps restored from local cache/);
    }
  });

  it('expired: a warning and a miss, and the signature in no output', async () => {
    const ticket = await makeTicket('--expires', '1s');
    wipe(sandbox.project, 'deps');
    let said = '';
    await expect
      .poll(
        async () => {
          const result = await inContainer(ticket, ['restore', ...DEPS], { env: { CACHE_DEBUG: 'true' } });
          wipe(sandbox.project, 'deps');
          said = result.stdout + result.stderr;
          return result.code;
        },
        { timeout: 20_000, interval: 300 },
      )
      .toBe(1);
    expect(said).toMatch(/warning: CACHE_TICKET has expired: it was good until .*sandbox-cache ticket/);
    expect(said).not.toMatch(/Signature=[0-9a-f]/i);
    expect(said).not.toContain(ticket.slice(20, 60));
  });

  it('credentials that were taken back: a warning and a miss', async () => {
    const ticket = await makeTicket();
    wipe(sandbox.project, 'deps');
    const signed = decodeTicket(ticket);
    const { accessKeyId } = sandbox.server.credentials;
    const entries = signed.entries.map(({ url, ...entry }) => ({
      ...entry,
      url: url.replace(accessKeyId, 'AKIAGONE'),
    }));
    const gone = encodeTicket({ ...signed, entries });
    const { stderr } = expectExit(await inContainer(gone, ['restore', ...DEPS]), 1);
    expect(stderr).toMatch(/^\[cache\] warning: CACHE_TICKET is not accepted: /);
  });

  it('of another checkout: a warning that names both, and a miss without a request', async () => {
    const ticket = await makeTicket();
    writeFiles(sandbox.project, { 'deps.lock': 'another\n' });
    sandbox.server.requests.length = 0;
    const { stderr } = expectExit(await inContainer(ticket, ['restore', ...DEPS]), 1);
    expect(stderr).toMatch(
      /warning: CACHE_TICKET is for other lockfiles: it holds deps-[0-9a-f]{16}, not claude-/,
    );
    expect(sandbox.server.requests).toEqual([]);
  });

  it('of another runtime: says which one to ask for', async () => {
    const ticket = await makeTicket('--runtime', 'linux-riscv64');
    wipe(sandbox.project, 'deps');
    const { stderr } = expectExit(await inContainer(ticket, ['restore', ...DEPS]), 1);
    expect(stderr).toMatch(/holds deps for linux-riscv64, .*sandbox-cache ticket deps --runtime linux-/);
  });
});

it('made before the entry is there, works once it is', async () => {
  const { stdout, stderr } = expectExit(await sandbox.run(['ticket', ...DEPS]), 0);
  expect(stderr).toContain('(not saved yet)');
  const ticket = stdout.trim().slice('CACHE_TICKET='.length);
  expectExit(await inContainer(ticket, ['restore', ...DEPS]), 1);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  wipe(sandbox.project, 'deps');
  expectExit(await inContainer(ticket, ['restore', ...DEPS]), 0);
});

it('--bases adds older entries, for --fallback, and nothing does without', async () => {
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  writeFiles(sandbox.project, { 'deps.lock': 'two\n' });
  const ticketOf = async (...args: string[]) =>
    JSON.parse(expectExit(await sandbox.run(['ticket', ...DEPS, '--json', ...args]), 0).stdout) as {
      ticket: string;
      entries: unknown[];
    };
  expect((await ticketOf()).entries).toHaveLength(1);
  const { ticket, entries } = await ticketOf('--bases', '4');
  expect(entries).toHaveLength(2);
  wipe(sandbox.project, 'deps');
  const { stdout } = expectExit(await inContainer(ticket, ['restore', ...DEPS, '--fallback']), 1);
  expect(stdout).toMatch(/^deps restored from an older entry/);
});

it('a text that is cut off is told of, and not shown', async () => {
  const ticket = (await sandbox.run(['ticket', ...DEPS])).stdout.trim().slice('CACHE_TICKET='.length, -9);
  const { stdout, stderr } = expectExit(await inContainer(ticket, ['restore', ...DEPS]), 2);
  expect(stderr).toMatch(/^\[cache\] error: CACHE_TICKET is not a whole ticket\. .*\[CONFIG_INVALID\]\n$/);
  expect(stdout + stderr).not.toContain(ticket.slice(3, 40));
});

it('installers do not get it', async () => {
  wipe(sandbox.project, 'deps.lock', 'deps');
  makeNpmProject(sandbox.project);
  const { stdout } = expectExit(await sandbox.run(['ticket', 'npm']), 0);
  wipe(sandbox.project, 'node_modules');
  const ticket = stdout.trim().slice('CACHE_TICKET='.length);
  await inContainer(ticket, ['ensure', 'npm', '--', 'sh', '-c', 'env > environment']);
  const environment = readFileSync(join(sandbox.project, 'environment'), 'utf8');
  expect(environment).toContain('PATH=');
  expect(environment).not.toContain('CACHE_TICKET');
});

it('of a checkout, does not lead the credentials of the machine to its own address', async () => {
  const { stdout } = expectExit(await sandbox.run(['ticket', ...DEPS]), 0);
  writeFiles(sandbox.project, { '.env.claude-sandbox': stdout });
  sandbox.server.requests.length = 0;
  // This machine's own credentials, for AWS; the ticket names another address.
  const env = { ...NOTHING, AWS_ACCESS_KEY_ID: 'AKIACANARY0123456789', AWS_SECRET_ACCESS_KEY: 'secret' };
  for (const args of [
    ['doctor', '--store'],
    ['setup', '--yes'],
    ['setup', '--dry-run'],
    ['ticket', ...DEPS],
  ]) {
    const { stderr } = expectExit(await sandbox.run(args, { env }), 2);
    expect(stderr).toContain('CACHE_TICKET is set');
  }
  expect(sandbox.server.requests).toEqual([]);
});

it('a proxy of the file does not get a ticket of the environment', async () => {
  const { stdout } = expectExit(await sandbox.run(['ticket', ...DEPS]), 0);
  const ticket = stdout.trim().slice('CACHE_TICKET='.length);
  writeFiles(sandbox.project, { '.env.claude-sandbox': 'HTTPS_PROXY=http://proxy.example:3128\n' });
  const { stderr } = expectExit(await inContainer(ticket, ['restore', ...DEPS]), 2);
  expect(stderr).toContain('CACHE_TICKET comes from elsewhere');
});

it('without a bucket, or without a lockfile, says what is missing', async () => {
  const noBucket = expectExit(await sandbox.run(['ticket', ...DEPS], { env: NOTHING }), 2);
  expect(noBucket.stderr).toContain('CACHE_S3_BUCKET is not set');
  wipe(sandbox.project, 'deps.lock');
  expect(expectExit(await sandbox.run(['ticket']), 2).stderr).toContain('no lockfile');
  for (const flags of [
    ['--expires', '8d'],
    ['--expires', '0s'],
    ['--bases', '5'],
  ])
    expectExit(await sandbox.run(['ticket', ...DEPS, ...flags]), 2);
});

describeEachServer(await availableServers(), (target) => {
  it('takes the URLs of a ticket', async () => {
    const { bucket, prefix } = await target().place();
    const cwd = join(folder.path, 'project');
    writeFiles(cwd, { 'deps.lock': 'one\n', 'deps/file': 'text\n' });
    const env = {
      ...target().environment,
      CACHE_S3_BUCKET: bucket,
      CACHE_S3_PREFIX: `${prefix}with space/cache`,
    };
    expectExit(await runCli(['save', ...DEPS], { cwd, env }), 0);
    const { stdout } = expectExit(await runCli(['ticket', ...DEPS], { cwd, env }), 0);
    wipe(cwd, 'deps');
    const [name, ...value] = stdout.trim().split('=');
    expectExit(await runCli(['restore', ...DEPS], { cwd, env: { [name!]: value.join('=') } }), 0);
    expect(existsSync(join(cwd, 'deps/file'))).toBe(true);
  });
});
