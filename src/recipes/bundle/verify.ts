import { realpathSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { CacheError } from '../../errors.ts';
import type { Project, Verdict } from '../support/recipe.ts';
import { runCommand, type RunResult } from '../support/run.ts';
import { bundler } from './command.ts';
import { damagedGem, installedGems } from './installation.ts';
import type { Proof } from './proof.ts';
import { rubyFacts } from './ruby-facts.ts';
import { readBundlerSettings } from './settings.ts';
import { lookElsewhere } from './target.ts';

/** Neither command may write. A frozen Bundler does not change the lockfile. */
const QUIET_AND_FROZEN = { BUNDLE_FROZEN: 'true', BUNDLE_SILENCE_ROOT_WARNING: 'true' };

/**
 * The exit status with which each command says that gems are missing; `bundle exec` uses that of
 * Bundler::GemNotFound. Any other status has another cause: another Ruby, a path source that is not there
 * yet, the Gemfile.
 */
const CHECK_MISSES_GEMS = 1;
const EXEC_MISSES_GEMS = 7;

/** Whether the target holds every gem of the lockfile, with its files. */
export async function verifyBundle(project: Project, target: string, signal: AbortSignal): Promise<Verdict> {
  const settings = readBundlerSettings(project);
  const elsewhere = lookElsewhere(project, settings, target);
  // If the project's own configuration names another path, BUNDLE_PATH cannot override it.
  if (elsewhere !== undefined && settings.path?.isLocal === true)
    return { ok: false, reason: elsewhere.reason, blame: 'machine' };
  const damage = damagedGem(project.dir, target);
  if (damage !== undefined) return { ok: false, reason: damage, blame: 'entry' };
  if ((await proof(project, target, signal)) === 'whole') return { ok: true };

  const [check, exec] = await Promise.all(
    [
      ['check', '--dry-run'],
      ['exec', 'ruby', '-e', 'print Bundler.bundle_path'],
    ].map((args) =>
      runCommand(bundler(project, target, { args, env: QUIET_AND_FROZEN }), {
        project,
        output: 'capture',
        signal,
      }),
    ),
  );
  if (check !== undefined && check.status !== 0) {
    const missing = wasLeftOut(project, target, check) ? 'settings' : 'entry';
    const blame = check.status === CHECK_MISSES_GEMS ? missing : 'machine';
    return { ok: false, reason: `bundle check: ${reasonFrom(check)}`, blame };
  }
  if (exec !== undefined && exec.status !== 0) {
    const blame = exec.status === EXEC_MISSES_GEMS ? 'entry' : 'machine';
    return { ok: false, reason: `bundle exec ruby: ${reasonFrom(exec)}`, blame };
  }
  const used = exec?.stdout.split('\n').at(-1) ?? '';
  if (!used.startsWith('/') || isInside(used, resolve(project.dir, target))) return { ok: true };
  return { ok: false, reason: `Bundler looks for gems in ${used}, not in ${target}`, blame: 'machine' };
}

/** Whether the tree lacks what it must hold, as far as that can be seen without Bundler. */
export async function looksDamaged(project: Project, target: string, signal: AbortSignal): Promise<boolean> {
  if (damagedGem(project.dir, target) !== undefined) return true;
  const { value } = readBundlerSettings(project);
  // A group may have been left out, here or when the tree was installed.
  if (['BUNDLE_WITHOUT', 'BUNDLE_WITH', 'BUNDLE_ONLY'].some((name) => value(name) !== undefined))
    return false;
  return (await proof(project, target, signal)) === 'doubtful';
}

async function proof(project: Project, target: string, signal: AbortSignal): Promise<Proof> {
  const { proveWhole } = await import('./proof.ts');
  try {
    return proveWhole(project, target, await rubyFacts(project, signal));
  } catch (error) {
    if (signal.aborted || !(error instanceof CacheError)) throw error;
    // Without Ruby there is no Bundler either. Starting it will report that.
    return 'unknown';
  }
}

/**
 * Whether nothing at all is there of the gems that Bundler misses. Then their groups may have been left out.
 */
function wasLeftOut({ dir }: Project, target: string, { stdout, stderr }: RunResult): boolean {
  const missing = [...`${stdout}\n${stderr}`.matchAll(/^ \* (\S+) \((\S+)\)$/gm)];
  const installed = installedGems(dir, target);
  return (
    missing.length > 0 &&
    missing.every(
      ([, name, version]) => !installed.some((gem) => `${gem}-`.startsWith(`${name}-${version}-`)),
    )
  );
}

function isInside(path: string, folder: string): boolean {
  return `${real(path)}${sep}`.startsWith(`${real(folder)}${sep}`);
}

/** A bundle without gems may have no folder yet. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** `The following gems are missing * rack (3.0.0) …`: what Bundler said, in one line. */
function reasonFrom({ stdout, stderr, status }: RunResult): string {
  const lines = `${stdout}\n${stderr}`
    .split('\n')
    .map((line) => line.trim().replace(/^\/\S+:\d+:in [`'][^']*': /, ''))
    .filter((line) => line !== '' && !/^(from |Install missing gems)/.test(line));
  const text = lines.join(' ').replace(/\s+/g, ' ');
  if (text === '') return `status ${status}`;
  return text.length > 300 ? `${text.slice(0, 299)}…` : text;
}
