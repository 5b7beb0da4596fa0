/**
 * Who holds a lease. Within one container, the kernel knows at once whether that process is alive. A pid from
 * another container says nothing, so there only the heartbeat counts.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { systemCode } from '../../errors.ts';

export interface Owner {
  pid: number;
  host: string;
  /** Tells this process from all others that have had its pid. Undefined if the system cannot tell. */
  identity?: Identity | undefined;
}

interface Identity {
  /** A random id of this boot of the kernel. */
  boot: string;
  /** e.g. `pid:[4026531836]`: pids are unique within one namespace. */
  namespace: string;
  /**
   * Clock ticks from boot to the start of the process. Pids are used again; pairs of pid and start are not.
   */
  started: string;
}

export function currentOwner(): Owner {
  return { pid: process.pid, host: hostname(), identity: currentIdentity() };
}

/** @returns undefined if the pid says nothing about it */
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
  // It is another user's process, and hidden from us (hidepid). Its heartbeat will tell.
  if (stat === undefined) return undefined;
  return stat.started === there.started && !stat.ended;
}

/** Whether the owner was started since the kernel that we run under was booted. */
export function isOfThisBoot({ identity }: Owner): boolean {
  return identity !== undefined && identity.boot === currentIdentity()?.boot;
}

export function isOwner(value: unknown): value is Owner {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, host, identity } = value as Partial<Owner>;
  // A signal to 0 or to a negative pid goes to a whole group.
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0 || typeof host !== 'string')
    return false;
  if (identity === undefined) return true;
  return [identity.boot, identity.namespace, identity.started].every((field) => typeof field === 'string');
}

function currentIdentity(): Identity | undefined {
  try {
    const stat = readStat('self');
    // A container may see the /proc of another pid namespace. Its numbers mean nothing here.
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
  // A zombie has ended. Its parent has only not asked yet, and the first process of many containers never
  // does.
  return { pid: parseInt(text, 10), started, ended: state === 'Z' || state === 'X' };
}
