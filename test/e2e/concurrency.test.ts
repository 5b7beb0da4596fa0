/** Many at once: savers of one key, restores of one target. Who waits for whom is decided by the server, not by the clock. */
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { copyTree } from '../support/fixtures.ts';
import type { LoggedRequest } from '../support/s3-server.ts';
import { availableServers, describeEachServer } from '../support/servers.ts';
import {
  type CliResult,
  debris,
  DEPS,
  expectExit,
  makeProject,
  treeOf,
  useFolder,
  useSandbox,
  wipe,
} from './support.ts';

const SAVERS = 8;
const folder = useFolder();
const sandbox = useSandbox();

describeEachServer(await availableServers(), (target) => {
  it.each([
    ['in one request', 0],
    ['in parts', 9_000_000],
  ])(
    '8 concurrent saves of one key, %s: one entry, all exit 0, no upload left, and it restores',
    async (_, bigBytes) => {
      const { bucket, prefix } = await target().place();
      const env = {
        ...target().environment,
        CACHE_S3_BUCKET: bucket,
        CACHE_S3_PREFIX: `${prefix}cache`,
        CACHE_WORKERS: '1',
      };
      const first = join(folder.path, 'project-0');
      makeProject(first, { bigBytes });
      const dirs = [first];
      for (let i = 1; i < SAVERS; i++) {
        const dir = join(folder.path, `project-${i}`);
        await copyTree(first, dir);
        dirs.push(dir);
      }
      const results = await Promise.all(dirs.map((cwd) => runCli(['save', ...DEPS], { cwd, env })));
      for (const result of results) {
        expectExit(result, 0);
        expect(result.stdout).toMatch(/^deps (saved to|already cached at) s3:/);
        expect(result.stderr).toBe('');
      }
      const saved = results.filter(({ stdout }) => stdout.startsWith('deps saved'));
      const { conditionalPut, conditionalComplete, atomicConditions } = target().traits;
      const honoured = bigBytes > 0 ? conditionalComplete : conditionalPut;
      if (honoured && atomicConditions) expect(saved).toHaveLength(1);
      expect(saved.length).toBeGreaterThan(0);

      const { client } = target();
      const { Contents } = await client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}cache/` }),
      );
      expect(Contents).toHaveLength(1);
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      expect(Uploads).toEqual([]);

      const before = treeOf(join(first, 'deps'));
      wipe(first, 'deps');
      expectExit(await runCli(['restore', ...DEPS], { cwd: first, env }), 0);
      expect(treeOf(join(first, 'deps'))).toEqual(before);
    },
  );
});

describe('savers of different trees', () => {
  it('the entry is one of the two as a whole', async () => {
    const dirs = ['a', 'b'].map((name) => join(sandbox.folder, name));
    for (const dir of dirs) makeProject(dir, { bigBytes: 9_000_000 });
    const trees = dirs.map((dir) => treeOf(join(dir, 'deps')));
    const results = await Promise.all(dirs.map((cwd) => sandbox.run(['save', ...DEPS], { cwd })));
    for (const result of results) expectExit(result, 0);
    const winner = results.findIndex(({ stdout }) => stdout.startsWith('deps saved'));
    expect(results.filter(({ stdout }) => stdout.startsWith('deps saved'))).toHaveLength(1);
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['restore', ...DEPS]), 0);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(trees[winner]);
  });

  it('a save that comes second while the first still sends leaves the first alone', async () => {
    const dirs = ['a', 'b'].map((name) => join(sandbox.folder, name));
    for (const dir of dirs) makeProject(dir);
    const [slow, fast] = dirs as [string, string];
    // The second saver runs from start to end while the first one's only request waits.
    let second: Promise<CliResult> | undefined;
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'PutObject',
      effect: {
        type: 'before',
        run: async () => void (await (second = sandbox.run(['save', ...DEPS], { cwd: fast }))),
      },
    });
    const first = expectExit(await sandbox.run(['save', ...DEPS, '-v'], { cwd: slow }), 0);
    expect(expectExit(await second!, 0).stdout).toMatch(/^deps saved/);
    expect(first.stdout).toMatch(/^deps already cached at s3:/);
    expect(first.stderr).toMatch(/^\[cache\] Cache already exists: s3:/m);
  });
});

describe('restores', () => {
  it('two at once of the same target: one fetches it, the other waits, and nothing is left', async () => {
    makeProject(sandbox.project, { bigBytes: 3_000_000 });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const before = treeOf(join(sandbox.project, 'deps'));
    wipe(sandbox.project, 'deps');
    // The first gets no answer before the second waits for it.
    let open: () => void;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const isLookup = ({ operation }: LoggedRequest): boolean => operation === 'GetObject';
    sandbox.server.faults.add({ match: isLookup, effect: { type: 'before', run: () => gate } });
    sandbox.server.requests.length = 0;
    const first = await sandbox.start(['restore', ...DEPS]);
    await expect.poll(() => sandbox.server.requests.some(isLookup), { timeout: 20_000 }).toBe(true);
    const second = await sandbox.start(['restore', ...DEPS]);
    await second.printed('Waiting for another run at work on deps');
    open!();
    expect(expectExit(await first.done, 0).stderr).toBe('');
    expect(expectExit(await second.done, 0).stdout).toMatch(/^deps already in place/);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    expect(debris(sandbox.project)).toEqual([]);
    sandbox.server.requests.length = 0;
    expect(expectExit(await sandbox.run(['restore', ...DEPS]), 0).stdout).toMatch(/already in place/);
    expect(sandbox.server.requests).toEqual([]);
  });

  it('one that comes while another holds the target waits for it, and takes its work', async () => {
    makeProject(sandbox.project, { bigBytes: 3_000_000 });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    wipe(sandbox.project, 'deps');
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'GetObject',
      effect: { type: 'stall', responseBytes: 1_000_000 },
    });
    const first = await sandbox.start(['restore', ...DEPS], { env: { CACHE_STALL_TIMEOUT: '3' } });
    await expect.poll(() => debris(sandbox.project).length, { timeout: 20_000 }).toBeGreaterThan(0);
    const second = await sandbox.start(['restore', ...DEPS, '-v']);
    await second.printed('Waiting for another run at work on deps');
    // The first goes on once its connection has stalled for long enough; the second then finds the receipt.
    expectExit(await first.done, 0);
    const waited = expectExit(await second.done, 0);
    expect(waited.stdout).toMatch(/^deps already in place/);
    expect(debris(sandbox.project)).toEqual([]);
  });

  describe('of an entry that is replaced half-way', () => {
    const later = ({ operation, range }: LoggedRequest): boolean =>
      operation === 'GetObject' && range?.startsWith('bytes=0-') === false;

    /** Two entries of one key, the first of them in the bucket, and the tree of the second. */
    async function twoEntries(): Promise<{ bodies: [Buffer, Buffer]; second: ReturnType<typeof treeOf> }> {
      const bodies: Buffer[] = [];
      for (let n = 0; n < 2; n++) {
        wipe(sandbox.project, 'deps');
        makeProject(sandbox.project, { bigBytes: 20_000_000 });
        expectExit(await sandbox.run(['save', ...DEPS, '--force']), 0);
        bodies.push(sandbox.server.read(sandbox.bucket, sandbox.key)!);
      }
      const second = treeOf(join(sandbox.project, 'deps'));
      wipe(sandbox.project, 'deps');
      sandbox.alter(() => bodies[0]!);
      return { bodies: bodies as [Buffer, Buffer], second };
    }

    it('starts again once, and takes the new one as a whole', async () => {
      const { bodies, second } = await twoEntries();
      const replace = (): void => sandbox.saveAgain(bodies[1]);
      sandbox.server.faults.add({ match: later, effect: { type: 'before', run: replace } });
      const result = expectExit(await sandbox.run(['restore', ...DEPS, '-v']), 0);
      expect(result.stderr).toMatch(/^\[cache\] s3:\S+ was replaced while being read: starting again$/m);
      expect(treeOf(join(sandbox.project, 'deps'))).toEqual(second);
      expect(debris(sandbox.project)).toEqual([]);
    });

    it('gives up when it is replaced again: exit 3, and nothing of either', async () => {
      const { bodies } = await twoEntries();
      let n = 0;
      const replace = (): void => sandbox.saveAgain(bodies[++n % 2]!);
      sandbox.server.faults.add({ match: later, times: 1000, effect: { type: 'before', run: replace } });
      const result = expectExit(await sandbox.run(['restore', ...DEPS]), 3);
      expect(result.stderr).toMatch(
        /^\[cache\] error: [^\n]+ was replaced while it was read[^\n]* \[STORE_REPLACED\]\n$/,
      );
      expect(existsSync(join(sandbox.project, 'deps'))).toBe(false);
      expect(debris(sandbox.project)).toEqual([]);
    });
  });

  it('wiping a target is noticed, and so is wiping one of several', async () => {
    const two = ['two', '--lockfile', 'deps.lock', '--path', 'deps', '--path', 'more/things'];
    makeProject(sandbox.project);
    await copyTree(join(sandbox.project, 'deps'), join(sandbox.folder, 'copy'));
    wipe(sandbox.project, 'more');
    mkdirSync(join(sandbox.project, 'more'));
    await copyTree(join(sandbox.folder, 'copy'), join(sandbox.project, 'more/things'));
    expectExit(await sandbox.run(['save', ...two]), 0);
    for (const gone of ['deps', 'more/things', 'more']) {
      wipe(sandbox.project, gone);
      expect(expectExit(await sandbox.run(['restore', ...two]), 0).stdout, gone).toMatch(/^two restored/);
      expect(existsSync(join(sandbox.project, 'more/things/tool/run.sh'))).toBe(true);
      expect(existsSync(join(sandbox.project, 'deps/tool/run.sh'))).toBe(true);
      expect(expectExit(await sandbox.run(['restore', ...two]), 0).stdout, gone).toMatch(/already in place/);
    }
  });
});
