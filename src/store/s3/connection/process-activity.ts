/**
 * Whether a process that has been started does anything, as far as Linux tells. One that waits for the network
 * holds a socket; one that works uses the CPU. One that does neither waits for something that will not come.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { namesIn } from '../../../files/names-in.ts';

/** How long nothing may happen, and how often that is looked at. */
const IDLE_MS = 2500;
const TICK_MS = 500;

/**
 * Calls back once when all processes of a group have been idle for so long.
 * @param group undefined: nothing is watched
 * @returns ends the watch
 */
export function watchIdleness(group: number | undefined, onIdle: (seconds: number) => void): () => void {
  if (group === undefined) return () => {};
  let last = -1;
  let idleMs = 0;
  const timer = setInterval(() => {
    const { cpu, hasSocket } = activityOf(group);
    const isIdle = cpu !== undefined && cpu === last && !hasSocket;
    last = cpu ?? -1;
    idleMs = isIdle ? idleMs + TICK_MS : 0;
    if (idleMs < IDLE_MS - TICK_MS) return;
    clearInterval(timer);
    onIdle(IDLE_MS / 1000);
  }, TICK_MS);
  return () => clearInterval(timer);
}

/** @returns CPU time in the kernel's ticks; undefined where there is no /proc, or no such process any more */
function activityOf(group: number): { cpu: number | undefined; hasSocket: boolean } {
  let cpu: number | undefined;
  let hasSocket = false;
  // Node's pipes are sockets.
  const own = new Set([0, 1, 2].map((fd) => target(`/proc/${group}/fd/${fd}`)));
  for (const pid of namesIn('/proc').filter((name) => /^\d+$/.test(name))) {
    const used = cpuOf(pid, group);
    if (used === undefined) continue;
    cpu = (cpu ?? 0) + used;
    const open = namesIn(`/proc/${pid}/fd`).map((fd) => target(`/proc/${pid}/fd/${fd}`));
    hasSocket ||= open.some((path) => path.startsWith('socket:') && !own.has(path));
  }
  return { cpu, hasSocket };
}

/** @returns undefined for a process of another group, and for one that is gone */
function cpuOf(pid: string, group: number): number | undefined {
  try {
    // The name, in parentheses, may hold anything. Behind it: state, parent, group … (proc(5)).
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[2]) === group ? Number(fields[11]) + Number(fields[12]) : undefined;
  } catch {
    return undefined;
  }
}

function target(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
