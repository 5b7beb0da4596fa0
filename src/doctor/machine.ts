/** The machine: which Node runs us, what the limits are, and whether they are enough. */
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { availableCpus } from '../archive/workers/cpus.ts';
import { formatBytes } from '../text/format-bytes.ts';
import { type Finding, findingsOf } from './finding.ts';
import { set } from './mend.ts';
import type { Patient } from './patient.ts';

const of = findingsOf('machine');

export function checkMachine(patient: Patient): Finding[] {
  return [
    { ...of('node', 'ok'), fact: `Node ${process.versions.node}, ${process.platform} ${process.arch}` },
    ...compression(patient),
    cpus(patient),
    memory(patient, process.constrainedMemory()),
    ...addresses(patient),
    openFiles(readLimits()),
    user(),
  ];
}

function compression({ survey, session }: Patient): Finding[] {
  if (session?.config.compression !== 'zstd') return [];
  if ('zstd' in process.versions) return [{ ...of('zstd', 'ok'), fact: 'This Node has zstd' }];
  return [
    {
      ...of('zstd', 'failure'),
      fact: `CACHE_COMPRESSION is zstd, which Node ${process.versions.node} does not have: 22.15 and later do`,
      mend: set(survey, 'CACHE_COMPRESSION', 'true'),
    },
  ];
}

function cpus(patient: Patient): Finding {
  const usable = availableCpus();
  const all = availableParallelism();
  const limited = usable < all ? ` of ${all} (limited by the cgroup)` : '';
  return { ...of('cpus', 'ok'), fact: `${usable} CPUs${limited}, ${workersOf(patient)} workers` };
}

/** An estimate of what Node, the SDK, buffers and the first worker take, and each further worker. */
const LEAST_BYTES = 128 * 1024 * 1024;
const WORKER_BYTES = 10 * 1024 * 1024;

/** @param limit of the cgroup, bytes; 0, undefined or more than there is: none */
function memory(patient: Patient, limit: number | undefined): Finding {
  const workers = workersOf(patient);
  const total = totalmem();
  const isLimited = limit !== undefined && limit > 0 && limit < total;
  const bytes = isLimited ? limit : total;
  const need = LEAST_BYTES + (workers - 1) * WORKER_BYTES;
  const fact = `${formatBytes(bytes)} of memory${isLimited ? ' (the limit of the cgroup)' : ''}`;
  if (bytes >= need) return { ...of('memory', 'ok'), fact };
  const fits = 1 + Math.floor((bytes - LEAST_BYTES) / WORKER_BYTES);
  return {
    ...of('memory', 'warning'),
    fact: `${fact}: ${workers} workers may need ${formatBytes(need)}`,
    // With less memory, fewer workers do not help. Whoever starts the container has to give it more.
    mend:
      fits >= 1
        ? set(patient.survey, 'CACHE_WORKERS', String(fits))
        : `docker update --memory ${Math.ceil(need / 1024 / 1024)}m --memory-swap -1 CONTAINER`,
  };
}

/** Each worker has a WebAssembly memory, for which V8 reserves gigabytes of addresses. */
function addresses(patient: Patient): Finding[] {
  const wasm = (globalThis as { WebAssembly?: { Memory: new (size: { initial: number }) => object } })
    .WebAssembly;
  if (wasm === undefined) {
    return [
      {
        ...of('webassembly', 'failure'),
        fact: 'This Node runs without WebAssembly (--jitless), which packing and unpacking need',
        mend: 'unset NODE_OPTIONS',
      },
    ];
  }
  try {
    Array.from({ length: workersOf(patient) }, () => new wasm.Memory({ initial: 1 }));
    return [];
  } catch {
    return [
      {
        ...of('address-space', 'failure'),
        fact: `The limit of addresses (ulimit -v) leaves no room for ${workersOf(patient)} workers`,
        mend: 'export NODE_OPTIONS=--disable-wasm-trap-handler',
      },
    ];
  }
}

const LEAST_FILES = 256;

function openFiles(limits: string): Finding {
  // Node has already raised the soft limit to the hard limit, so only a higher hard limit helps.
  const [, limit = 'unlimited'] = /^Max open files\s+(\d+|unlimited)/m.exec(limits) ?? [];
  if (limit === 'unlimited' || Number(limit) >= LEAST_FILES)
    return { ...of('open-files', 'ok'), fact: `${limit} files may be open at a time` };
  return {
    ...of('open-files', 'warning'),
    fact: `Only ${limit} files may be open at a time (ulimit -n)`,
    mend: 'docker run --ulimit nofile=1024:1024 IMAGE',
  };
}

function user(): Finding {
  const umask = process.umask();
  const shown = umask.toString(8).padStart(4, '0');
  const fact = `User ${process.geteuid?.() ?? 'unknown'}, umask ${shown}`;
  if ((umask & 0o700) === 0) return { ...of('user', 'ok'), fact };
  return {
    ...of('user', 'failure'),
    fact: `${fact}: this user may not use the files that it makes`,
    mend: 'umask 022',
  };
}

function workersOf({ session }: Patient): number {
  return session?.config.workers ?? availableCpus();
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // Not Linux.
    return '';
  }
}
