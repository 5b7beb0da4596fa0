/** `.env.claude-sandbox`: who may read it, and whether git would commit it. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CacheError } from '../errors.ts';
import { ENV_FILE } from '../config/env-file.ts';
import { runCommand } from '../recipes/support/run.ts';
import { type Finding, findingsOf } from './finding.ts';
import { pathWord } from './mend.ts';
import type { Patient } from './patient.ts';

const of = findingsOf('files');

export async function checkFiles(patient: Patient): Promise<Finding[]> {
  const { envPath } = patient.survey;
  const stat = statSync(envPath, { throwIfNoEntry: false });
  if (stat?.isFile() !== true) {
    return [{ ...of('env-file', 'ok'), fact: `There is no ${ENV_FILE}: settings come from the environment` }];
  }
  return [rights(patient, stat.mode), ...(await git(patient))];
}

function rights({ survey: { envPath, sources } }: Patient, mode: number): Finding {
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  if (!sources.file.exposed) return { ...of('env-file-mode', 'ok'), fact: `${ENV_FILE} has mode ${shown}` };
  return {
    ...of('env-file-mode', 'warning'),
    fact: `${ENV_FILE} holds secrets and others may read it (mode ${shown})`,
    mend: `chmod 600 ${pathWord(envPath)}`,
  };
}

async function git(patient: Patient): Promise<Finding[]> {
  const { envPath } = patient.survey;
  // If git tracks the file already, .gitignore has no effect.
  if ((await asks(patient, ['ls-files', '--error-unmatch', '--', ENV_FILE])) === 0) {
    return [
      {
        ...of('env-file-git', 'warning'),
        fact: `${ENV_FILE} is in git: whoever may read the repository has what it holds`,
        mend: `git -C ${pathWord(dirname(envPath))} rm --cached -q ${ENV_FILE} && ${ignore(envPath)}`,
      },
    ];
  }
  switch (await asks(patient, ['check-ignore', '-q', '--', ENV_FILE])) {
    case 0:
      return [{ ...of('env-file-git', 'ok'), fact: `git ignores ${ENV_FILE}` }];
    case 1:
      return [
        {
          ...of('env-file-git', 'warning'),
          fact: `git does not ignore ${ENV_FILE}: the next "git add" takes it along`,
          mend: ignore(envPath),
        },
      ];
    default:
      // No repository, or no git.
      return [];
  }
}

function ignore(envPath: string): string {
  return `echo ${ENV_FILE} >> ${pathWord(`${dirname(envPath)}/.gitignore`)}`;
}

/** @returns git's exit status; undefined if there is no git */
async function asks(
  { survey, session, signal }: Patient,
  args: readonly string[],
): Promise<number | undefined> {
  const env = session?.config.env ?? survey.sources.real;
  const project = { dir: survey.projectDir, lockfile: '', env };
  try {
    const command = { argv: ['git', ...args] as const, env: { GIT_OPTIONAL_LOCKS: '0' } };
    return (await runCommand(command as never, { project, output: 'capture', signal })).status;
  } catch (error) {
    if (error instanceof CacheError && error.code === 'RUNTIME_MISSING') return undefined;
    throw error;
  }
}
