/** Where we write: whether this user may, and how much room there is. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CacheError, systemCode } from '../errors.ts';
import { choose } from '../session/choose.ts';
import { projectOf } from '../session/hold.ts';
import type { Session } from '../session/session.ts';
import { formatBytes } from '../text/format-bytes.ts';
import { type Finding, findingsOf } from './finding.ts';
import { pathWord, set } from './mend.ts';
import type { Patient } from './patient.ts';

const of = findingsOf('machine');

/** With less free space hardly any tree fits. */
const LEAST_BYTES = 64 * 1024 * 1024;
/** With less free space large trees may not fit. */
const FEW_BYTES = 1024 * 1024 * 1024;

export async function checkDisk(patient: Patient): Promise<Finding[]> {
  const { session } = patient;
  if (session === undefined) return [];
  const findings = (await writtenTo(session)).map((path) => place(path, repair(path)));
  const { store } = session.config;
  if (!('local' in store)) return findings;
  const elsewhere = set(patient.survey, 'CACHE_LOCAL_DIR', join(homedir(), '.cache/sandbox-cache'));
  return [...findings, place(store.local.dir, () => elsewhere, 'local-dir')];
}

/** The project, and targets that lie on another file system. */
async function writtenTo(session: Session): Promise<string[]> {
  const { projectDir } = session.config;
  const device = statSync(projectDir).dev;
  const targets = (await targetsOf(session)).map((target) => join(projectDir, target));
  return [
    projectDir,
    ...targets.filter((path) => (statSync(path, { throwIfNoEntry: false })?.dev ?? device) !== device),
  ];
}

async function targetsOf(session: Session): Promise<string[]> {
  try {
    const recipes = choose(session, [], {});
    return (await Promise.all(recipes.map((recipe) => recipe.targets(projectOf(session, recipe))))).flat();
  } catch (error) {
    // The check of the project reports recipes that cannot be read.
    if (error instanceof CacheError) return [];
    throw error;
  }
}

function place(path: string, mendFor: (code: string) => string, id = 'disk'): Finding {
  const there = existing(path);
  const code = whyNot(there);
  if (code !== undefined) {
    return {
      ...of(id, 'failure'),
      fact: `${path} cannot be written to: ${reason(there, code)}`,
      mend: mendFor(code),
    };
  }
  const { bavail, bsize } = statfsSync(there);
  const free = bavail * bsize;
  const fact = `${formatBytes(free)} are free for ${path}`;
  if (free >= FEW_BYTES) return { ...of(id, 'ok'), fact };
  return {
    ...of(id, free < LEAST_BYTES ? 'failure' : 'warning'),
    fact: `${fact}: ${free < LEAST_BYTES ? 'the disk is full' : 'a large tree may not fit'}`,
    mend: `du -xh ${pathWord(there)} | sort -h | tail`,
  };
}

function reason(path: string, code: string): string {
  const stat = statSync(path);
  if (!stat.isDirectory()) return `${path} is not a directory`;
  if (code === 'EROFS') return 'the file system is read-only';
  if (stat.uid !== process.geteuid?.()) return `it belongs to user ${stat.uid}`;
  return `its mode is ${(stat.mode & 0o7777).toString(8).padStart(4, '0')}`;
}

/** The path, or the nearest directory above it that exists. */
function existing(path: string): string {
  return existsSync(path) ? path : existing(dirname(path));
}

function whyNot(path: string): string | undefined {
  try {
    if (!statSync(path).isDirectory()) return 'ENOTDIR';
    accessSync(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return systemCode(error) ?? '';
  }
}

function repair(path: string): (code: string) => string {
  const word = pathWord(path);
  return (code) => {
    if (code === 'EROFS') return `sudo mount -o remount,rw "$(df --output=target ${word} | tail -n 1)"`;
    return statSync(path).uid === process.geteuid?.()
      ? `chmod u+rwx ${word}`
      : `sudo chown -R "$(id -u)" ${word}`;
  };
}
