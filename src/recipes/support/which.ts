import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { CacheError } from '../../errors.ts';
import type { Project } from './recipe.ts';

/**
 * The file that `program` names, as a shell in the project directory would find it; undefined when there is
 * none.
 */
export function which(program: string, project: Pick<Project, 'dir' | 'env'>): string | undefined {
  if (program.includes('/')) {
    const path = resolve(project.dir, program);
    return isProgram(path) ? path : undefined;
  }
  // An empty part of PATH means the current directory.
  return (project.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => resolve(project.dir, folder, program))
    .find(isProgram);
}

/** @throws CacheError RUNTIME_MISSING that names the program and where it was looked for. */
export function requireProgram(program: string, project: Pick<Project, 'dir' | 'env'>): string {
  const path = which(program, project);
  if (path !== undefined) return path;
  const where = program.includes('/') ? '' : `; PATH is ${project.env['PATH'] ?? 'not set'}`;
  throw new CacheError('RUNTIME_MISSING', `There is no program ${program}${where}`, {
    hint: `Install ${program}, or put its folder on PATH.`,
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
