/**
 * Checks a node_modules tree against its lockfile, without starting npm, and with little more than one `stat`
 * for each package.
 */
import { join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { readError } from '../../files/read-errors.ts';
import type { Project, Verdict } from '../support/recipe.ts';
import type { Evidence, Mismatch, Host } from './evidence.ts';
import { hoistedMismatches } from './hoisted.ts';
import { isLinked, linkedMismatches } from './linked.ts';
import { type Packages, readHiddenLockfile, readLockfile } from './lockfile.ts';
import { scopeOf } from './scope.ts';
import { npmSettings, type Settings } from './settings.ts';
import { HIDDEN_LOCKFILE } from './tree.ts';

/**
 * @param readsManifests whether to believe npm's record only as far as manifests agree with it
 * @throws CacheError LOCKFILE_INVALID
 */
export function verifyTree(
  { dir, lockfile, env }: Project,
  host: Host,
  { readsManifests }: { readsManifests: boolean },
): Verdict {
  const settings = npmSettings({ dir, env });
  const packages = readLockfile(join(dir, lockfile));
  const record = readRecord(dir);
  if (typeof record === 'string') return { ok: false, reason: record, blame: 'entry' };
  const evidence: Evidence = {
    dir,
    lockfile,
    packages,
    recorded: record,
    settings,
    scope: scopeOf(dir, packages, settings),
    host: platformSettings(host, settings),
    readsManifests,
  };
  const all = isLinked(dir, packages) ? linkedMismatches(evidence) : hoistedMismatches(evidence);
  const mismatches = all.filter(({ isOrphan }) => isOrphan !== true);
  const [first] = mismatches;
  if (first !== undefined) return { ok: false, reason: reasonFor(first, mismatches), blame: 'entry' };
  if (all.length === 0) return { ok: true };
  return { ok: true, partial: `${evidence.scope.absent.join(', ')} is not in this checkout` };
}

/** @returns a sentence if npm itself would never finish reading it */
function readRecord(dir: string): Packages | string | undefined {
  try {
    return readHiddenLockfile(join(dir, HIDDEN_LOCKFILE));
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTREG' || code === 'EFBIG') return `${HIDDEN_LOCKFILE} ${readError(error)}`;
    throw error;
  }
}

function reasonFor(first: Mismatch, mismatches: readonly Mismatch[]): string {
  const others = mismatches.length - 1;
  const more = others === 0 ? '' : ` (and ${others} more)`;
  const hint = mismatches.every((mismatch) => mismatch.isMissingDev === true)
    ? ': dev dependencies were left out; set npm_config_omit=dev, so that the key says so too'
    : '';
  return `${first.text}${more}${hint}`;
}

function platformSettings(host: Host, { os, cpu, libc }: Settings): Host {
  const { platform } = host;
  const family = libc === 'musl' || libc === 'glibc' ? libc : platform.libc;
  return { ...host, platform: { os: os ?? platform.os, arch: cpu ?? platform.arch, libc: family } };
}
