import { statSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from '../../files/names-in.ts';
import { hashFile } from './lockfile.ts';

/**
 * The files under a project that these patterns name, with their digests; none for a pattern that fits
 * nothing.
 * @param patterns relative to the project; `*` stands for any run of characters but `/`
 * @throws CacheError SOURCE_UNREADABLE
 */
export function readKeyFiles(
  projectDir: string,
  patterns: readonly string[],
): { path: string; sha256: string }[] {
  const paths = new Set(patterns.flatMap((pattern) => matches(projectDir, '', pattern.split('/'))));
  return [...paths].map((path) => ({ path, sha256: hashFile(join(projectDir, path)) }));
}

function matches(projectDir: string, folder: string, [segment = '', ...rest]: readonly string[]): string[] {
  const names = segment.includes('*') ? namesLike(join(projectDir, folder), segment) : [segment];
  return names.flatMap((name) => {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (rest.length > 0) return matches(projectDir, path, rest);
    return statSync(join(projectDir, path), { throwIfNoEntry: false })?.isFile() === true ? [path] : [];
  });
}

function namesLike(folder: string, segment: string): string[] {
  const pattern = segment.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*');
  const expression = new RegExp(`^${pattern}$`, 's');
  return namesIn(folder).filter((name) => expression.test(name));
}
