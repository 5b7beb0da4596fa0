import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CacheError } from '../../../src/errors.ts';
import { acquireLease } from '../../../src/workspace/lease/lease.ts';
import {
  directoryId,
  findAlive,
  readLeases,
  type Sighting,
} from '../../../src/workspace/lease/lease-file.ts';
import { currentOwner, type Owner } from '../../../src/workspace/lease/owner.ts';
import { readReceipt } from '../../../src/workspace/notes/receipt.ts';
import { openStaging } from '../../../src/workspace/staging.ts';
import { isCi } from '../../support/ci.ts';
import { bundleScript, type Script } from '../scripts.ts';
import { debris, makeVersion, stageVersion, versionOf } from '../versions.ts';

let project: string;
let home: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'sandbox-cache-lease-'));
  home = join(project, '.sandbox-cache-node_modules');
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

const TARGETS = ['node_modules'];
const never = new AbortController().signal;

function open(signal = never, onWait?: (owner: string) => void): ReturnType<typeof openStaging> {
  return openStaging({
    projectDir: project,
    targets: TARGETS,
    signal,
    ...(onWait === undefined ? {} : { onWait }),
  });
}

/** A lease that somebody has left, or holds. */
function plantLease(owner: Owner | undefined, { generation = 1, ageMs = 0 } = {}): string {
  mkdirSync(home, { recursive: true });
  const path = join(home, `lease-${generation}.json`);
  const lease = JSON.stringify({ owner, token: `planted-${generation}`, home: directoryId(home) });
  writeFileSync(path, owner === undefined ? '' : lease);
  const seconds = (Date.now() - ageMs) / 1000;
  utimesSync(path, seconds, seconds);
  return path;
}

const here = currentOwner();
const elsewhere: Owner = { ...here, identity: { boot: 'another', namespace: 'pid:[1]', started: '1' } };
const unknown: Owner = { pid: 1, host: 'unknown' };

/** The code that waiting ends with; it is given up at once. */
async function waits(): Promise<boolean> {
  const controller = new AbortController();
  const opening = open(controller.signal, () => controller.abort(new CacheError('INTERRUPTED', 'stopped')));
  const result = await opening.catch((error: unknown) => error);
  if (result instanceof CacheError) {
    expect(result.code).toBe('INTERRUPTED');
    return true;
  }
  await (result as Awaited<typeof opening>).close();
  return false;
}

describe('one restore at a time', () => {
  it('lets the second in when the first ends, and tells it so', async () => {
    const first = await open();
    expect(first.waited).toBe(false);
    const owners: string[] = [];
    const second = open(never, (owner) => {
      owners.push(owner);
      void first.close();
    });
    expect((await second).waited).toBe(true);
    expect(owners).toEqual([`process ${process.pid} on ${here.host}`]);
    await (await second).close();
    expect(readdirSync(project)).toEqual([]);
  });

  it('says who is busy when the deadline passes, and stops at once when interrupted', async () => {
    const first = await open();
    for (const [code, expected] of [
      ['TIMEOUT', 'TARGET_BUSY'],
      ['INTERRUPTED', 'INTERRUPTED'],
    ] as const) {
      const controller = new AbortController();
      const second = open(controller.signal, () => controller.abort(new CacheError(code, 'over')));
      await expect(second).rejects.toMatchObject({ code: expected });
    }
    await first.close();
    expect(readdirSync(project)).toEqual([]);
  });

  it('gives up when the directory that the home is in is removed while it waits', async () => {
    const first = await open();
    const second = open(never, () => rmSync(project, { recursive: true }));
    await expect(second).rejects.toMatchObject({ code: 'TARGET_UNWRITABLE' });
    await first.close();
  });

  it('shows every two seconds that it lives', async () => {
    const staging = await open();
    const [name] = readdirSync(home).filter((file) => file.startsWith('lease-'));
    const path = join(home, name ?? '');
    const { mtimeMs } = statSync(path);
    await expect.poll(() => statSync(path).mtimeMs, { timeout: 20_000 }).toBeGreaterThan(mtimeMs);
    await staging.close();
  });

  it('survives an installer that empties the directory that it is in', async () => {
    mkdirSync(join(project, 'volume'));
    execFileSync('ln', ['-s', 'volume', join(project, 'node_modules')]);
    const staging = await open();
    expect(existsSync(join(project, 'volume/.sandbox-cache-staging'))).toBe(true);
    rmSync(join(project, 'volume'), { recursive: true });
    mkdirSync(join(project, 'volume'));
    await expect(staging.commit([])).rejects.toMatchObject({ code: 'TARGET_BUSY' });
    await staging.close();
    expect(readdirSync(join(project, 'volume'))).toEqual([]);
  });
});

describe('an owner', () => {
  it.each<[string, Owner | undefined, number, boolean]>([
    ['alive on this machine, however long silent', here, 3_600_000, true],
    ['on this machine whose pid is now of another process', startedAt('1'), 0, false],
    ['on this machine that is gone', { ...here, pid: 2 ** 22 - 1 }, 0, false],
    ['in another container, seen just now', elsewhere, 0, true],
    ['in another container, silent for 29 s', elsewhere, 29_000, true],
    ['in another container, silent for 31 s', elsewhere, 31_000, false],
    ['on a system without /proc, seen just now', unknown, 0, true],
    ['on a system without /proc, silent for 31 s', unknown, 31_000, false],
    ['who has not written down who it is, seen just now', undefined, 0, true],
    ['who never came to write down who it is', undefined, 6000, false],
  ])('%s', async (_, owner, ageMs, alive) => {
    plantLease(owner, { ageMs });
    expect(await waits()).toBe(alive);
  });

  it('that is a zombie is dead', async () => {
    // Its parent does not ask what became of it, as the first process of many a container never does. The child ends
    // when the parent is no shell any more: a shell may still have asked.
    const parent = spawn('sh', ['-c', 'cat <&3 & echo $!; exec sleep 600 3<&-'], {
      stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
    });
    try {
      const [text] = (await once(parent.stdout as Readable, 'data')) as [Buffer];
      const pid = Number(text.toString());
      await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n');
      (parent.stdio[3] as Writable).end();
      await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'utf8')).toMatch(/\) Z /);
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      plantLease({ ...startedAt(fields[19] ?? ''), pid });
      expect(await waits()).toBe(false);
    } finally {
      parent.kill('SIGKILL');
    }
  });

  it('whose time never moves on is dead, even if it lies in the future', async () => {
    plantLease(elsewhere, { ageMs: -3_600_000 });
    const lease = await acquireLease(home, { signal: never, staleMs: 300 });
    expect(lease.waited).toBe(true);
    lease.release();
  });

  it('is not waited for in a copy of the project', async () => {
    const held = await open();
    cpSync(project, `${project}-copy`, { recursive: true, preserveTimestamps: true });
    project = `${project}-copy`;
    home = join(project, '.sandbox-cache-node_modules');
    try {
      expect(readdirSync(home)).toHaveLength(3);
      expect(await waits()).toBe(false);
      expect(readdirSync(project)).toEqual([]);
    } finally {
      rmSync(project, { recursive: true });
      await held.close();
    }
  });

  it('on another machine is known where that numbers the shared device in another way', async () => {
    const path = plantLease(elsewhere);
    const { inode } = directoryId(home);
    const lease = { owner: elsewhere, token: 'planted', home: { device: '1', inode } };
    writeFileSync(path, JSON.stringify(lease));
    expect(await waits()).toBe(true);
    writeFileSync(path, JSON.stringify({ ...lease, home: { device: '1', inode: `${inode}1` } }));
    expect(await waits()).toBe(false);
  });

  it('who was suspended and taken over changes nothing any more', async () => {
    makeVersion(join(project, 'node_modules'), 'old');
    const staging = await open();
    stageVersion(staging, { project, targets: TARGETS, present: TARGETS, version: 'new' });
    plantLease(elsewhere, { generation: 7 });
    await expect(staging.commit(TARGETS)).rejects.toMatchObject({ code: 'TARGET_BUSY' });
    await staging.close();
    expect(versionOf(join(project, 'node_modules'))).toBe('old');
    expect(readdirSync(home)).toEqual(['.gitignore', 'lease-7.json']);
  });

  function startedAt(started: string): Owner {
    return { ...here, identity: { boot: '', namespace: '', ...here.identity, started } };
  }
});

describe('what lies in place of a lease', () => {
  it.each([1_000_000_000, 999_999_999_999_999])(
    'a dead one of generation %i is succeeded',
    async (generation) => {
      plantLease(undefined, { generation, ageMs: 6000 });
      expect(await waits()).toBe(false);
      expect(readdirSync(project)).toEqual([]);
    },
  );

  it.each<[string, (path: string) => void]>([
    ['a fifo', (path) => execFileSync('mkfifo', [path])],
    ['a link to a device', (path) => symlinkSync('/dev/zero', path)],
    ['a directory', (path) => mkdirSync(join(path, 'deep'), { recursive: true })],
    ['a large file', (path) => writeFileSync(path, ' '.repeat(5000))],
    ['JSON of something else', (path) => writeFileSync(path, '[1]')],
    [
      'a lease that names no directory',
      (path) => writeFileSync(path, JSON.stringify({ owner: here, token: 'x' })),
    ],
  ])('%s is nobody’s, and is removed', async (_, make) => {
    mkdirSync(home);
    for (const name of ['lease-1.json', 'lease-2.json', 'lease-999999999.json']) make(join(home, name));
    expect(await waits()).toBe(false);
    expect(readdirSync(project)).toEqual([]);
  });

  it('is watched together with all others', () => {
    for (const generation of [1, 2, 3]) plantLease(elsewhere, { generation, ageMs: -3_600_000 });
    const sightings = new Map<string, Sighting>();
    expect(findAlive(home, readLeases(home), { staleMs: 300, sightings })?.generation).toBe(3);
    expect(sightings.size).toBe(3);
  });
});

describe('processes', () => {
  let hold: Script;
  let kill: Script;
  beforeAll(async () => {
    [hold, kill] = await Promise.all([bundleScript('hold-process'), bundleScript('kill-process')]);
  });
  afterAll(() => {
    hold.remove();
    kill.remove();
  });

  const PROCESSES = 8;

  it(`take turns, ${PROCESSES} at once, and one tree is whole in the end`, async () => {
    const restores = Array.from({ length: PROCESSES }, async (_, index) => {
      const restore = { project, targets: TARGETS, present: TARGETS, version: `v${index % 3}`, files: 50 };
      const { stdout } = await promisify(execFile)(process.execPath, [
        kill.path,
        JSON.stringify({ restore }),
      ]);
      return (JSON.parse(stdout) as { result: string }).result;
    });
    const results = await Promise.all(restores);
    expect(results.every((result) => ['restored', 'in place'].includes(result))).toBe(true);
    const version = versionOf(join(project, 'node_modules'), 50);
    expect(version).toMatch(/^v\d$/);
    expect(readReceipt(project, 'node_modules')?.key).toBe(version);
    expect(debris(project)).toEqual([]);
  });

  const noNamespaces = whyNoNamespaces();

  it.skipIf(noNamespaces !== undefined).each(['--mount-proc', '--mount'])(
    `in another pid namespace are known by their heartbeat alone, with unshare %s${noNamespaces ?? ''}`,
    async (proc) => {
      const holder = spawn('unshare', [
        '--pid',
        '--fork',
        '--kill-child',
        proc,
        process.execPath,
        hold.path,
        project,
      ]);
      try {
        await printed(holder, 'held');
        const path = join(home, 'lease-1.json');
        expect(await waits()).toBe(true);
        // Killed, it cannot tell, and pids of its namespace mean nothing here.
        holder.kill('SIGKILL');
        await once(holder, 'close');
        expect(await waits()).toBe(true);
        utimesSync(path, Date.now() / 1000 - 31, Date.now() / 1000 - 31);
        expect(await waits()).toBe(false);
        expect(lstatSync(home, { throwIfNoEntry: false })).toBeUndefined();
      } finally {
        holder.kill('SIGKILL');
      }
    },
  );

  it('that are killed are succeeded at once', async () => {
    const holder = spawn(process.execPath, [hold.path, project]);
    await printed(holder, 'held');
    expect(await waits()).toBe(true);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(await waits()).toBe(false);
    expect(readdirSync(project)).toEqual([]);
  });
});

function whyNoNamespaces(): string | undefined {
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'ignore' });
    return undefined;
  } catch (error) {
    if (isCi(process.env) && process.geteuid?.() === 0) throw error;
    return ' (unshare is not permitted here)';
  }
}

async function printed(child: ChildProcess, text: string): Promise<void> {
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await expect.poll(() => output, { timeout: 20_000 }).toContain(text);
}
