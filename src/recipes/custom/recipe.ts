import { existsSync, readdirSync, statSync } from 'node:fs';
import { isAbsolute, join, posix, relative } from 'node:path';
import { CacheError } from '../../errors.ts';
import type { Command, Recipe } from '../support/recipe.ts';
import { runCommand } from '../support/run.ts';
import { which } from '../support/which.ts';

export interface CustomRecipeOptions {
  /** Absolute path of the project: absolute paths inside it are taken as relative ones. */
  projectDir: string;
  name: string;
  /** One or more. All must be there, and all go into the key. */
  lockfiles: readonly string[];
  /** Directories and files, one or more, the main one first. */
  paths: readonly string[];
  /** Further files that change what is installed, as `Recipe.keyFiles`. @default none */
  files?: readonly string[] | undefined;
  /** Environment variables that change what is installed. @default none */
  variables?: readonly string[] | undefined;
  /** A program and its arguments, or a line for `sh -c`. */
  install?: readonly string[] | string | undefined;
  /**
   * Ends with status 0 when the directories hold what the lockfile asks for.
   * @default the directories exist
   */
  verify?: readonly string[] | string | undefined;
  /**
   * Prints what compiled artefacts depend on, e.g. `["python3", "-V"]`.
   * @default nothing: os and architecture alone
   */
  runtime?: readonly string[] | string | undefined;
}

/**
 * A recipe for anything that is not built in: `--lockfile requirements.txt --path venv`, or an entry of
 * `.sandbox-cache.json`.
 * @throws CacheError USAGE that says which name or path cannot be used, and why.
 */
export function customRecipe(options: CustomRecipeOptions): Recipe {
  const { name, projectDir } = options;
  checkName(name);
  const lockfiles = options.lockfiles.map((path) => checkLockfile(path, projectDir));
  const paths = options.paths.map((path) => checkPath(path, projectDir));
  const [main] = paths;
  if (lockfiles.length === 0) throw refuse(name, 'names no lockfile', 'Give one with --lockfile <file>.');
  if (main === undefined) throw refuse(name, 'names no directory', 'Give one with --path <dir>.');
  checkOverlap(paths);
  const [install, verify, runtime] = [options.install, options.verify, options.runtime].map(asCommand);

  return {
    name,
    label: name,
    lockfiles,
    everyLockfile: true,
    keyVariables: options.variables ?? [],
    keyFiles: checkKeyFiles(options.files ?? [], projectDir),
    fileTargets: true,
    keepsTimes: true,
    mainTarget: main,
    marker: `${main}/.installed`,
    verifiesLockfile: verify !== undefined,
    targets: async () => [...paths],
    excludes: () => [],
    witnesses: ({ dir }, targets) => targets.flatMap((target) => witnessesOf(dir, target)),
    install: () => install,

    async abi(project, signal) {
      if (runtime === undefined) return '';
      const { status, stdout, stderr } = await runCommand(runtime, {
        project,
        output: 'capture',
        signal,
      });
      const text = stdout.trim() || stderr.trim();
      if (status === 0 && text !== '') return text.toLowerCase().replace(/[^a-z0-9._]+/g, '');
      throw new CacheError('RUNTIME_MISSING', `${runtime.argv.join(' ')} ended with status ${status}`, {
        hint: `It is the runtime command of ${name}: run it by hand in the project directory.`,
      });
    },

    async verify(project, signal) {
      if (!existsSync(join(project.dir, main)))
        return { ok: false, reason: `${main} is missing`, blame: 'entry' };
      if (verify === undefined) return { ok: true };
      const [program] = verify.argv;
      if (paths.some((path) => program.startsWith(`${path}/`)) && which(program, project) === undefined)
        return { ok: false, reason: `${program} is missing`, blame: 'entry' };
      const { status, stdout, stderr } = await runCommand(verify, { project, output: 'capture', signal });
      if (status === 0) return { ok: true };
      const said = `${stdout}\n${stderr}`.trim().split('\n').at(-1) ?? '';
      const reason = `${verify.argv.join(' ')}: ${said || `status ${status}`}`;
      return { ok: false, reason, blame: NOT_STARTED.includes(status) ? 'machine' : 'entry' };
    },
  };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** With these a shell says that it could not start a command (POSIX, "Exit Status for Commands"). */
const NOT_STARTED = [126, 127];

/** @throws CacheError USAGE */
function checkName(name: string): void {
  // A part of 16 hex digits would be taken for the hash in `<name>-<hash>-<runtime>`.
  const reads = /^[a-z0-9_]+(-[a-z0-9_]+)*$/.test(name) && !/(^|-)[0-9a-f]{16}(-|$)/.test(name);
  if (reads && name.length <= 32) return;
  throw refuse(
    name,
    'is no recipe name',
    'Use at most 32 lower-case letters, digits, "_" and single "-", e.g. pip.',
  );
}

/** Lockfiles are only read, so one above the project is allowed, as in a monorepo. */
function checkLockfile(path: string, projectDir: string): string {
  const relativePath = normalize(path, projectDir);
  if (relativePath === '.' || /[\p{Cc}]/u.test(path)) throw refuse(path, 'is no lockfile', 'Give a file.');
  return relativePath;
}

/** @throws CacheError USAGE */
export function checkKeyFiles(patterns: readonly string[], projectDir: string): string[] {
  return patterns.map((pattern) => checkLockfile(pattern, projectDir));
}

function checkPath(path: string, projectDir: string): string {
  const relativePath = normalize(path, projectDir);
  const hint = 'Give a directory or a file inside the project, relative to it, e.g. --path venv.';
  if (path === '' || relativePath === '.') throw refuse(path, 'is the project itself', hint);
  if (/[\p{Cc}*]/u.test(path)) throw refuse(path, 'holds a character that no path here may have', hint);
  const parts = relativePath.split('/');
  if (parts.includes('..') || isAbsolute(relativePath)) throw refuse(path, 'is outside the project', hint);
  if (parts.includes('.git')) throw refuse(path, 'is part of the repository itself', hint);
  return relativePath;
}

function checkOverlap(paths: readonly string[]): void {
  for (const [i, a] of paths.entries()) {
    for (const b of paths.slice(i + 1)) {
      if (!`${a}/`.startsWith(`${b}/`) && !`${b}/`.startsWith(`${a}/`)) continue;
      throw refuse(
        a,
        a === b ? 'is named twice' : `and ${b} lie inside each other`,
        'Name the outer one alone.',
      );
    }
  }
}

/** `./venv/` → `venv`; an absolute path inside the project becomes relative to it. */
function normalize(path: string, projectDir: string): string {
  const inside = isAbsolute(path) ? relative(projectDir, path) || '.' : path;
  return posix.normalize(inside).replace(/(?<=.)\/+$/, '');
}

/**
 * The file itself, or the directory and what lies directly in it. Hidden names in it do not count: tools keep
 * caches there, such as `.cache`, which change while nobody installs.
 */
function witnessesOf(dir: string, target: string): string[] {
  const path = join(dir, target);
  if (isFile(path)) return [target];
  try {
    const names = readdirSync(path).filter((name) => !name.startsWith('.'));
    return names.sort().map((name) => `${target}/${name}`);
  } catch {
    return [];
  }
}

function asCommand(command: readonly string[] | string | undefined): Command | undefined {
  const [program, ...args] = typeof command === 'string' ? ['sh', '-c', command] : (command ?? []);
  return program === undefined ? undefined : { argv: [program, ...args], env: {} };
}

function refuse(what: string, why: string, hint: string): CacheError {
  return new CacheError('USAGE', `${JSON.stringify(what)} ${why}`, { hint });
}
