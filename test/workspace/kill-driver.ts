/** Runs restores in processes that are killed, and judges what they leave. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { readReceipt } from '../../src/workspace/notes/receipt.ts';
import type { Orders, Report } from './kill-process.ts';
import type { Kind, Scene } from './kinds.ts';
import { bundleScript } from './scripts.ts';
import { debris, mainOf, restoreVersion, versionOf, type Restore } from './versions.ts';

export interface Victim {
  /** @returns undefined when it was killed */
  run(orders: Orders, uid?: number): Report | undefined;
  remove(): void;
}

export async function buildVictim(): Promise<Victim> {
  const script = await bundleScript('kill-process');
  return {
    run: (orders, uid) => {
      const { status, signal, stdout, stderr } = spawnSync(
        process.execPath,
        [script.path, JSON.stringify(orders)],
        {
          encoding: 'utf8',
          ...(uid === undefined ? {} : { uid, gid: uid }),
        },
      );
      if (signal === 'SIGKILL') return undefined;
      if (status !== 0) throw new Error(`the restore failed: ${stderr}`);
      return JSON.parse(stdout) as Report;
    },
    remove: script.remove,
  };
}

/** What the promise forbids, in words; empty when it is kept. */
export function broken(kind: Kind, { restore }: Scene): string[] {
  const { project } = restore;
  const found = versions(restore);
  const receipt = readReceipt(project, mainOf(restore));
  const faults: string[] = [];
  if (receipt !== undefined) {
    const whole = receipt.targets.every((target) => found[target] === receipt.key);
    if (!whole) faults.push(`a receipt for ${receipt.key} on ${JSON.stringify(found)}`);
  }
  if (kind.plain && !['old', 'new', 'absent'].includes(found[mainOf(restore)] ?? '')) {
    faults.push(`neither the old tree nor the new one: ${JSON.stringify(found)}`);
  }
  return faults;
}

/** The next run: in this process, unless it takes another user. */
export async function brokenAfterNextRun(kind: Kind, scene: Scene, victim: Victim): Promise<string[]> {
  const { base, restore } = scene;
  const { project, targets, present, version } = restore;
  const faults: string[] = [];
  if (kind.uid === undefined) await restoreVersion(restore);
  else faults.push(...failures(victim.run({ restore }, kind.uid)));
  const found = versions(restore);
  for (const target of targets) {
    const expected = present.includes(target) ? version : 'absent';
    if (found[target] !== expected) faults.push(`${target} is ${found[target]} after the next run`);
  }
  if (readReceipt(project, mainOf(restore))?.key !== version) faults.push('no receipt after the next run');
  const left = debris(base);
  if (left.length > 0) faults.push(`debris: ${left.join(' ')}`);
  return faults;
}

function failures(report: Report | undefined): string[] {
  const { error, warnings } = report ?? { error: undefined, warnings: ['killed'] };
  return [...warnings, ...(error === undefined ? [] : [`${error.code}: ${error.message}`])];
}

function versions({ project, targets, files }: Restore): Record<string, string> {
  return Object.fromEntries(targets.map((target) => [target, versionOf(join(project, target), files)]));
}
