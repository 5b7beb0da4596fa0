/**
 * kill -9 at random moments of `sandbox-cache restore npm`, the built command, on every kind of target, and what is found then and
 * after the next run: `tsx test/fuzz/kill.ts [--kills 200] [--seed 1] [--kind name]`. Status 1 when a promise is broken.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readReceipt } from '../../src/workspace/notes/receipt.ts';
import { randomSource, type RandomSource } from '../support/tree.ts';
import { whyNoMounts } from '../workspace/kinds.ts';
import {
  makeInstalled,
  makeNpmScene,
  NPM_KINDS,
  npmVersionOf,
  type NpmKind,
  type NpmScene,
} from '../workspace/npm-scene.ts';
import { debris } from '../workspace/versions.ts';

interface Tally {
  kind: string;
  kills: number;
  /** Ended before the kill came. */
  finished: number;
  old: number;
  new: number;
  /** Killed between the two renames, or nothing was there to begin with. */
  none: number;
  mixed: number;
  receipts: number;
  faults: string[];
}

interface Bench {
  /** A copy: a build in the meantime must not get in the way. */
  cli: string;
  env: NodeJS.ProcessEnv;
  random: RandomSource;
}

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string' },
  },
});
await main(Number(values.kills), Number(values.seed), values.kind);

async function main(kills: number, seed: number, only: string | undefined): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), 'sandbox-cache-kill-'));
  for (const part of ['bin', 'dist', 'package.json']) {
    cpSync(new URL(`../../${part}`, import.meta.url), join(base, part), { recursive: true });
  }
  const bench: Bench = {
    cli: join(base, 'bin/sandbox-cache.js'),
    env: { PATH: process.env['PATH'], HOME: join(base, 'home'), CACHE_LOCAL_DIR: join(base, 'store') },
    random: randomSource(seed),
  };
  const noMounts = whyNoMounts();
  const tallies: Tally[] = [];
  try {
    for (const workspace of [false, true]) {
      const project = join(base, workspace ? 'two' : 'one');
      makeInstalled(project, workspace);
      mustEnd(run('save', project, bench), 0);
    }
    for (const kind of NPM_KINDS) {
      if (only !== undefined && kind.name !== only) continue;
      if (kind.mounts && noMounts !== undefined) {
        process.stdout.write(`${kind.name}: not tried, ${noMounts}\n`);
        continue;
      }
      tallies.push(await killAll(kind, kills, bench));
      report(tallies.at(-1) as Tally);
    }
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
  const faults = tallies.flatMap(({ kind, faults: found }) => found.map((fault) => `${kind}: ${fault}`));
  for (const fault of faults) process.stdout.write(`BROKEN ${fault}\n`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

async function killAll(kind: NpmKind, kills: number, bench: Bench): Promise<Tally> {
  const tally: Tally = {
    kind: kind.name,
    kills,
    finished: 0,
    old: 0,
    new: 0,
    none: 0,
    mixed: 0,
    receipts: 0,
    faults: [],
  };
  let milliseconds = timeOfOne(kind, bench);
  for (let kill = 0; kill < kills; kill++) {
    const scene = makeNpmScene(kind);
    try {
      const share = bench.random.below(1000) / 1000;
      milliseconds = (await killOne({ kind, scene, tally }, share * milliseconds, bench)) ?? milliseconds;
    } finally {
      scene.remove();
    }
  }
  return tally;
}

/** The slower of two: the first kill comes within this long, the others within the time of the latest whole restore. */
function timeOfOne(kind: NpmKind, bench: Bench): number {
  const times = [1, 2].map(() => {
    const scene = makeNpmScene(kind);
    const began = performance.now();
    mustEnd(run('restore', scene.project, bench), 0);
    const time = performance.now() - began;
    scene.remove();
    return time;
  });
  return Math.max(...times);
}

interface Trial {
  kind: NpmKind;
  scene: NpmScene;
  tally: Tally;
}

/** @returns what a whole restore took, where the next run was one: how busy the machine is changes in hours of this */
async function killOne(
  { kind, scene, tally }: Trial,
  after: number,
  bench: Bench,
): Promise<number | undefined> {
  const { project, base, targets } = scene;
  const child = spawn(process.execPath, [bench.cli, 'restore', 'npm'], {
    cwd: project,
    env: bench.env,
    stdio: 'ignore',
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), after);
  const signal = await new Promise<NodeJS.Signals | null>((resolve) =>
    child.once('exit', (_, by) => resolve(by)),
  );
  clearTimeout(timer);
  if (signal !== 'SIGKILL') tally.finished++;

  const where = `killed after ${after.toFixed(1)} ms`;
  const found = targets.map((target) => npmVersionOf(project, target));
  const receipt = readReceipt(project, 'node_modules');
  const [main = ''] = found;
  const state = found.every((version) => version === main) ? main : 'mixed';
  if (state === 'old' || state === 'new') tally[state]++;
  else if (state === 'absent') tally.none++;
  else tally.mixed++;
  if (receipt !== undefined) {
    tally.receipts++;
    const claimed = receipt.key === 'old' ? 'old' : 'new';
    if (state !== claimed) tally.faults.push(`${where}: a receipt for ${claimed} on ${found.join(' / ')}`);
  }
  if (kind.plain && state === 'mixed')
    tally.faults.push(`${where}: neither old nor new: ${found.join(' / ')}`);

  const began = performance.now();
  const next = run('restore', project, bench);
  const took = performance.now() - began;
  const after2 = targets.map((target) => npmVersionOf(project, target));
  if (next.status !== 0)
    tally.faults.push(`${where}: the next run ended with ${next.status}: ${next.stderr}`);
  if (after2.some((version) => version !== 'new'))
    tally.faults.push(`${where}: after the next run: ${after2.join(' / ')}`);
  const left = debris(base);
  if (left.length > 0) tally.faults.push(`${where}: debris after the next run: ${left.join(' ')}`);
  return state === 'new' ? undefined : took;
}

function run(
  command: 'save' | 'restore',
  cwd: string,
  { cli, env }: Bench,
): { status: number | null; stderr: string } {
  mkdirSync(env['HOME'] ?? '', { recursive: true });
  return spawnSync(process.execPath, [cli, command, 'npm'], { cwd, env, encoding: 'utf8' });
}

function mustEnd({ status, stderr }: { status: number | null; stderr: string }, expected: number): void {
  if (status !== expected) throw new Error(`ended with ${status}: ${stderr}`);
}

function report({ kind, kills, finished, old, new: fresh, none, mixed, receipts, faults }: Tally): void {
  process.stdout.write(
    `${kind}: ${kills} kills (${finished} came too late); found old ${old}, new ${fresh}, none ${none}, ` +
      `mixed ${mixed}; with a receipt ${receipts}; broken promises ${faults.length}\n`,
  );
}
