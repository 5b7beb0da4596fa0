/**
 * What a lockfile was before, as git tells. Only plumbing is called, which runs no program that a
 * repository's configuration names, and nothing is fetched.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { Project } from '../../recipes/support/recipe.ts';
import { which } from '../../recipes/support/which.ts';

/** What git may take, ms: in a huge repository it would read all of the history. */
const LIMIT_MS = 2000;

/**
 * The SHA-256 digests of a lockfile's committed versions, the newest first.
 * @returns nothing where there is no git, no repository or no history, or where git is too slow
 */
export async function committedDigests(project: Project, most: number): Promise<string[]> {
  const git = which('git', project);
  if (git === undefined) return [];
  const running = { git, project, deadline: AbortSignal.timeout(LIMIT_MS) };
  try {
    const commits = await textOf(running, [
      'rev-list',
      `--max-count=${most}`,
      'HEAD',
      '--',
      project.lockfile,
    ]);
    const names = commits.split('\n').filter((name) => /^[0-9a-f]{40,64}$/.test(name));
    const digests = names.map((name) => digestOf(running, `${name}:./${project.lockfile}`));
    const found = await Promise.allSettled(digests);
    return [...new Set(found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])))];
  } catch {
    return [];
  }
}

interface Running {
  git: string;
  project: Project;
  deadline: AbortSignal;
}

async function textOf(running: Running, args: readonly string[]): Promise<string> {
  const chunks: Buffer[] = [];
  await run(running, args, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks).toString('latin1');
}

async function digestOf(running: Running, object: string): Promise<string> {
  const hash = createHash('sha256');
  await run(running, ['cat-file', 'blob', object], (chunk) => hash.update(chunk));
  return hash.digest('hex');
}

async function run(
  { git, project, deadline }: Running,
  args: readonly string[],
  take: (chunk: Buffer) => void,
): Promise<void> {
  const { spawn } = await import('node:child_process');
  const child = spawn(resolve(git), ['--literal-pathspecs', '-c', 'core.fsmonitor=false', ...args], {
    cwd: project.dir,
    env: { ...project.env, ...QUIET },
    stdio: ['ignore', 'pipe', 'ignore'],
    signal: deadline,
    killSignal: 'SIGKILL',
  });
  child.stdout.on('data', take);
  await new Promise<void>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) => (code === 0 ? done() : fail(new Error(`git ended with ${code}`))));
  });
}

/** Nobody is asked, and no missing object is fetched. */
const QUIET = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_LAZY_FETCH: '1',
  GIT_ALLOW_PROTOCOL: 'none',
};
