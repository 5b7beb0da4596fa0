/**
 * What a lockfile was before, as git tells. Only plumbing is called, which runs no program that a
 * repository's configuration names, and nothing is fetched.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { Project } from '../../recipes/support/recipe.ts';
import { which } from '../../recipes/support/which.ts';

/** What git may take to walk the history, and then to read the versions, ms. A huge one would take minutes. */
const LIMIT_MS = 1500;

/**
 * The SHA-256 digests of a lockfile's committed versions, the newest first. Where git is too slow, those that
 * it has found by then.
 * @param most how many commits are looked at
 * @returns nothing where there is no git, no repository or no history
 * @throws the signal's reason
 */
export async function committedDigests(
  project: Project,
  { most, signal }: { most: number; signal: AbortSignal },
): Promise<string[]> {
  const program = which('git', project);
  if (program === undefined) return [];
  const git = { program, project, signal };
  const commits = await linesOf(git, ['rev-list', `--max-count=${most}`, 'HEAD', '--', project.lockfile]);
  const names = commits.filter((name) => /^[0-9a-f]{40,64}$/.test(name));
  const limited = withLimit(git);
  const digests = names.map((name) => digestOf(limited, `${name}:./${project.lockfile}`));
  const found = await Promise.allSettled(digests);
  signal.throwIfAborted();
  return [...new Set(found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])))];
}

interface Git {
  program: string;
  project: Project;
  /** Ends it. */
  signal: AbortSignal;
}

function withLimit(git: Git): Git {
  return { ...git, signal: AbortSignal.any([git.signal, AbortSignal.timeout(LIMIT_MS)]) };
}

/** The whole lines that it has printed before it ended or was ended. */
async function linesOf(git: Git, args: readonly string[]): Promise<string[]> {
  const chunks: Buffer[] = [];
  try {
    await run(withLimit(git), args, (chunk) => chunks.push(chunk));
  } catch {
    git.signal.throwIfAborted();
  }
  return Buffer.concat(chunks).toString('latin1').split('\n').slice(0, -1);
}

async function digestOf(git: Git, object: string): Promise<string> {
  const hash = createHash('sha256');
  await run(git, ['cat-file', 'blob', object], (chunk) => hash.update(chunk));
  return hash.digest('hex');
}

async function run(
  { program, project, signal }: Git,
  args: readonly string[],
  take: (chunk: Buffer) => void,
): Promise<void> {
  const { spawn } = await import('node:child_process');
  const child = spawn(resolve(program), ['--literal-pathspecs', '-c', 'core.fsmonitor=false', ...args], {
    cwd: project.dir,
    env: { ...project.env, ...QUIET },
    stdio: ['ignore', 'pipe', 'ignore'],
    signal,
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
