import { readdirSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { type ElfHeader, readElfHeader } from '../../compiled/elf-header.ts';
import type { Project, Recipe } from './recipe.ts';
import { which } from './which.ts';

/** Where a program runs, in Node's and npm's words. */
export interface Platform {
  /** `process.platform` */
  os: string;
  /** `process.arch` */
  arch: string;
  /** On Linux. */
  libc: 'glibc' | 'musl' | undefined;
}

/**
 * What compiled artefacts depend on, for the key: `linux-x64-node115`, `linux-x64-musl-ruby3.1.0`. It
 * describes the recipe's interpreter on PATH if its header can be read, else the Node that runs this. So a
 * 32-bit Ruby beside a 64-bit Node, or a glibc Ruby on Alpine, has entries of its own.
 * @throws CacheError RUNTIME_MISSING as `Recipe.abi`.
 */
export async function runtimeOf(recipe: Recipe, project: Project, signal: AbortSignal): Promise<string> {
  const program = recipe.program === undefined ? undefined : which(recipe.program, project);
  return runtime(await recipe.abi(project, signal), program);
}

/** @param program the interpreter's file; @default the Node that runs this */
export function runtime(abi: string, program?: string): string {
  const { os, arch, libc } = platformOf(program);
  // Keys hold letters, digits, `.`, `_` and `-`.
  const clean = abi.replace(/[^A-Za-z0-9._-]+/g, '_');
  return [os, arch, libc === 'musl' ? 'musl' : '', clean].filter((part) => part !== '').join('-');
}

/**
 * @param program the interpreter's file;
 * @default the Node that runs this; it is also used if the interpreter is a script
 */
export function platformOf(program: string = process.execPath): Platform {
  const { platform, arch, execPath } = process;
  if (platform !== 'linux') return { os: platform, arch, libc: undefined };
  const header = readElfHeader(program) ?? readElfHeader(execPath);
  return { os: platform, arch: header?.arch ?? arch, libc: isMusl(header) ? 'musl' : 'glibc' };
}

/** A static program names no loader, so the loader that the system has decides. */
function isMusl(header: ElfHeader | undefined): boolean {
  const musl = /^(ld-musl|libc\.musl)-/;
  if (header?.loader !== undefined) {
    return musl.test(basename(header.loader)) || musl.test(basename(realPath(header.loader)));
  }
  try {
    return readdirSync('/lib').some((name) => musl.test(name));
  } catch {
    return false;
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
