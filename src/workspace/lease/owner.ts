/**
 * Who holds a lease. Within one container the kernel knows whether that process still lives, at once. A pid
 * from another container says nothing: there only the heartbeat counts.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { systemCode } from '../../errors.ts';

export interface Owner {
  pid: number;
  host: string;
  /** What makes the pid mean this process and no other; undefined where the system cannot tell. */
  identity?: Identity | undefined;
}

interface Identity {
  /** A random id of this boot of the kernel. */
  boot: string;
  /** e.g. `pid:[4026531836]`: pids are unique within one namespace. */
  namespace: string;
  /** Clock ticks from boot to the start of the process: pids are used again, these pairs are not. */
  started: string;
}

export function currentOwner(): Owner {
  return { pid: process.pid, host: hostname(), identity: currentIdentity() };
}

/** @returns undefined where pids cannot tell */
export function isRunning(owner: Owner): boolean | undefined {
  const there = owner.identity;
  if (there === undefined || !isOfThisBoot(owner)) return undefined;
  if (there.namespace !== currentIdentity()?.namespace) return undefined;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false;
  }
  const stat = readStat(String(owner.pid));
  // Hidden from us (hidepid): a process of another user. Its heartbeat tells.
  if (stat === undefined) return undefined;
  return stat.started === there.started && !stat.ended;
}

/** Whether it runs, or ran, under the kernel that we run under, since it was started. */
export function isOfThisBoot({ identity }: Owner): boolean {
  return identity !== undefined && identity.boot === currentIdentity()?.boot;
}

export function isOwner(value: unknown): value is Owner {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, host, identity } = value as Partial<Owner>;
  // Signals to 0 and to negative pids go to groups.
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0 || typeof host !== 'string')
    return false;
  if (identity === undefined) return true;
  return [identity.boot, identity.namespace, identity.started].every((field) => typeof field === 'string');
}

function currentIdentity(): Identity | undefined {
  try {
    const stat = readStat('self');
    // In a container that sees the /proc of another pid namespace, numbers there are not ours.
    if (stat?.pid !== process.pid) return undefined;
    return {
      boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      namespace: readlinkSync('/proc/self/ns/pid'),
      started: stat.started,
    };
  } catch {
    return undefined;
  }
}

/**
 * Fields 1, 3 and 22 of `/proc/PID/stat`; field 2, the name, is in parentheses and may hold any character.
 */
function readStat(pid: string): { pid: number; started: string; ended: boolean } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const started = fields[19];
  if (started === undefined) return undefined;
  // Zombies have ended; only their parent has not asked yet, as the first process of many a container never
  // does.
  return { pid: parseInt(text, 10), started, ended: state === 'Z' || state === 'X' };
}
