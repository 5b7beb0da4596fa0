/**
 * SIGINT, SIGTERM or SIGHUP at random moments of the built `restore` and `save`, with an S3 server in this process:
 * `tsx test/fuzz/signals.ts [--signals 200] [--seed 1]`, so many for each of the two. Status 1 when a run is not gone after 2 s, or
 * leaves anything half-written, here or in the bucket.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { startCli, type CliResult } from '../support/cli.ts';
import { startS3Server } from '../support/s3-server.ts';
import { makeRandomTree, randomSource, snapshotTree } from '../support/tree.ts';
import { debris } from '../workspace/versions.ts';

const CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const LIMIT_MS = 2000;
const BUCKET = 'signals';
type Command = 'save' | 'restore';

const { values } = parseArgs({
  options: { signals: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
});
const random = randomSource(Number(values.seed));
const base = mkdtempSync(join(tmpdir(), 'sandbox-cache-signals-'));
const project = join(base, 'project');
const deps = join(project, 'deps');
const server = await startS3Server({ buckets: [BUCKET] });
const bucket = server.bucket(BUCKET);

interface Trial {
  signal: keyof typeof CODES;
  where: string;
  result: CliResult;
  end: string;
  /** From the signal to the end of all output; 0 where it came too late. */
  tookMs: number;
}

interface Scene {
  command: Command;
  fresh: unknown;
  old: unknown;
  entry: { key: string; body: Buffer };
}

try {
  mkdirSync(project);
  writeFileSync(join(project, 'deps.lock'), 'lock\n');
  await interruptAll('save');
  await interruptAll('restore');
} finally {
  await server.close();
  rmSync(base, { recursive: true, force: true });
}

async function interruptAll(command: Command): Promise<void> {
  makeTree('new');
  const scene: Scene = { command, fresh: treeOf(), old: undefined, entry: await savedEntry() };
  reset(command);
  scene.old = treeOf();
  const { ms } = mustEnd(await start(command).then(({ done }) => done));

  const ends: Record<string, number> = {};
  const broken: string[] = [];
  let slowest = 0;
  for (let n = 0; n < Number(values.signals); n++) {
    reset(command);
    const trial = await interrupt(command, (random.below(1000) / 1000) * ms);
    ends[trial.end] = (ends[trial.end] ?? 0) + 1;
    slowest = Math.max(slowest, trial.tookMs);
    broken.push(...promisesBroken(trial, scene).map((what) => `${command}, ${trial.where}: ${what}`));
  }
  const counts = Object.entries(ends).map(([end, times]) => `${end}: ${times}`);
  process.stdout.write(
    `${command}: ${values.signals} signals within ${Math.round(ms)} ms; ended with ${counts.join(', ')}; ` +
      `slowest end ${Math.round(slowest)} ms after its signal; broken promises ${broken.length}\n`,
  );
  for (const what of broken) process.stdout.write(`BROKEN ${what}\n`);
  if (broken.length > 0) process.exitCode = 1;
}

async function interrupt(command: Command, afterMs: number): Promise<Trial> {
  const signal = random.pick(['SIGINT', 'SIGTERM', 'SIGHUP'] as const);
  const { child, done } = await start(command);
  let sent: number | undefined;
  const timer = setTimeout(() => {
    sent = performance.now();
    child.kill(signal);
  }, afterMs);
  const result = await done;
  clearTimeout(timer);
  // Before our handler is there the signal itself ends Node: nothing had been done yet.
  const end = result.signal === null ? String(result.code) : 'the signal itself';
  const tookMs = sent === undefined ? 0 : performance.now() - sent;
  return { signal, where: `${signal} after ${afterMs.toFixed(1)} ms`, result, end, tookMs };
}

function promisesBroken({ signal, result, tookMs }: Trial, { command, fresh, old, entry }: Scene): string[] {
  const broken: string[] = [];
  const { code } = result;
  if (code !== 0 && code !== CODES[signal] && result.signal !== signal)
    broken.push(`ended with ${code ?? result.signal}: ${result.stderr}`);
  if (tookMs > LIMIT_MS) broken.push(`took ${Math.round(tookMs)} ms`);
  const tree = treeOf();
  const whole = isDeepStrictEqual(tree, fresh) || (code !== 0 && isDeepStrictEqual(tree, old));
  if (command === 'restore' && !whole) broken.push('the tree is neither the old one nor the new one');
  const left = debris(base);
  if (left.length > 0) broken.push(`left ${left.join(' ')}`);
  if (bucket.uploads.size > 0) broken.push('left an upload');
  bucket.uploads.clear();
  const stored = server.read(BUCKET, entry.key);
  if (stored !== undefined && !stored.equals(entry.body)) broken.push('the entry is not whole');
  return broken;
}

/** As each run finds it: no entry to save over, or an old tree to restore over. */
function reset(command: Command): void {
  if (command === 'save') bucket.objects.clear();
  else makeTree('old');
}

async function savedEntry(): Promise<{ key: string; body: Buffer }> {
  bucket.objects.clear();
  mustEnd(await start('save').then(({ done }) => done));
  const [key = ''] = bucket.objects.keys();
  const body = server.read(BUCKET, key);
  if (body === undefined) throw new Error('nothing was saved');
  return { key, body };
}

/** Enough for several parts of an upload, and of random bytes: what is compressed away would not be sent. */
function makeTree(version: 'old' | 'new'): void {
  rmSync(deps, { recursive: true, force: true });
  makeRandomTree(deps, { seed: version === 'new' ? 1 : 2, files: 300, maxSize: 16_384 });
  if (version === 'new') writeFileSync(join(deps, 'big.bin'), randomSource(3).bytes(20_000_000));
}

/** Without what a save and a restore write into it. */
function treeOf(): unknown {
  const ours = ['.sandbox-cache-receipt.json', '.installed'];
  return snapshotTree(deps, { skip: (path) => ours.includes(path) });
}

function start(command: Command): ReturnType<typeof startCli> {
  const env = { ...server.environment, CACHE_S3_BUCKET: BUCKET };
  return startCli([command, 'deps', '--lockfile', 'deps.lock', '--path', 'deps'], { cwd: project, env });
}

function mustEnd(result: CliResult): CliResult {
  if (result.code !== 0) throw new Error(`ended with ${result.code}: ${result.stderr}`);
  return result;
}
