import { type DynamicFile, readDynamicFile } from './dynamic.ts';

/** A file of a tree that a dynamic loader may be asked to load. */
export interface CompiledFile extends DynamicFile {
  /** Without its folder. */
  name: string;
}

/**
 * Reads only what programs and libraries are called: a kernel starts nothing without a mode that allows it,
 * and libraries have `.so` in their names, or `.node` at the end. All others cost nothing.
 * @returns undefined for anything but a compiled file
 */
export function readCompiledFile(
  path: string | Buffer,
  { name, mode }: { name: string; mode: number },
): CompiledFile | undefined {
  if ((mode & 0o111) === 0 && !/\.(?:node$|so(?:\.|$))/.test(name)) return undefined;
  const file = readDynamicFile(path);
  return file && { name, ...file };
}
