/**
 * One restore in a process of its own, killed where it is told: `node kill-process.mjs '{"restore":…,"killAt":17}'`. Kills itself
 * with SIGKILL just before that call that changes the file system; without `killAt` it prints how many there are.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { CacheError } from '../../src/errors.ts';
import { restoreVersion, type Restore } from './versions.ts';

const CHANGES = [
  'chmodSync',
  'fchmodSync',
  'ftruncateSync',
  'linkSync',
  'mkdirSync',
  'openSync',
  'renameSync',
  'rmSync',
  'rmdirSync',
  'symlinkSync',
  'unlinkSync',
  'utimesSync',
  'writeFileSync',
  'writeSync',
] as const;

export interface Orders {
  restore: Restore;
  /** Counted from 1. */
  killAt?: number;
  /** Milliseconds from the beginning of the restore. */
  killAfter?: number;
}

export interface Report {
  result?: string;
  error?: { code: string; message: string };
  warnings: string[];
  /** How many calls changed the file system, or tried to. */
  changes: number;
}

/** The nth change of the file system is as far as we get. */
function countChanges(killAt: number | undefined): () => number {
  let count = 0;
  const functions = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of CHANGES) {
    const original = functions[name];
    if (original === undefined) continue;
    functions[name] = (...args) => {
      count++;
      if (count === killAt) process.kill(process.pid, 'SIGKILL');
      return original(...args);
    };
  }
  syncBuiltinESMExports();
  return () => count;
}

const { restore, killAt, killAfter } = JSON.parse(process.argv[2] ?? '') as Orders;
const changes = countChanges(killAt);
if (killAfter !== undefined) {
  // A thread of its own: the main one is busy.
  const { Worker } = await import('node:worker_threads');
  const code = `setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${killAfter})`;
  const worker = new Worker(code, { eval: true });
  await new Promise((resolve) => worker.once('online', resolve));
  worker.unref();
}
const warnings: string[] = [];
const report: Report = { changes: 0, warnings };
try {
  report.result = await restoreVersion(restore, { onWarning: (message) => warnings.push(message) });
} catch (error) {
  if (!(error instanceof CacheError)) throw error;
  report.error = { code: error.code, message: error.message };
}
process.stdout.write(JSON.stringify({ ...report, changes: changes() }));
