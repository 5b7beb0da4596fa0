import { basename, join, posix } from 'node:path';
import type { Package, Packages } from './lockfile.ts';
import { isFile, statOf } from './tree.ts';

/**
 * The links of a package's commands that are missing from the `.bin` beside it, or that lead nowhere:
 * `node_modules/.bin/tsc`.
 *
 * npm silently makes no link to a file that does not exist at that moment. So a link may be missing if the
 * file can have come later: built in a workspace, or made by an install script, which runs after linking.
 */
export function missingLinks(dir: string, location: string, entry: Package): string[] {
  if (entry.bin === undefined || entry.link === true || entry.hasInstallScript === true) return [];
  return [...linksOf(location, entry)]
    .filter(
      ([path, file]) =>
        statOf(join(dir, path)) === undefined && isFile(join(dir, location, posix.join('/', file))),
    )
    .map(([path]) => path);
}

/** Whether one of these packages has a command with this link. */
export function isLinkOf(
  packages: Packages,
  path: string,
  isCandidate: (location: string) => boolean,
): boolean {
  return [...packages].some(
    ([location, entry]) => isCandidate(location) && linksOf(location, entry).has(path),
  );
}

/** The links of a package's commands, each with the file it leads to. */
export function linksOf(location: string, { bin = {} }: Pick<Package, 'bin'>): Map<string, string> {
  const folder = `${location.slice(0, location.lastIndexOf('node_modules/'))}node_modules/.bin`;
  const commands = typeof bin === 'string' ? { [location]: bin } : bin;
  return new Map(
    Object.entries(commands).map(([command, file]) => [
      `${folder}/${basename(command.replaceAll('\\', '/'))}`,
      file,
    ]),
  );
}
