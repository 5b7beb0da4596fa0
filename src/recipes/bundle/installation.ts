import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** `vendor/bundle/<engine>/<abi>` of each Ruby that has installed there, relative to the project. */
export function installations(dir: string, target: string): string[] {
  return folders(join(dir, target)).flatMap((engine) =>
    folders(join(dir, target, engine)).map((abi) => `${target}/${engine}/${abi}`),
  );
}

/**
 * The first gem with a specification but without its files. Bundler only looks at specifications: `bundle check` and `bundle
 * exec` both succeed on a bundle whose `gems` folder is gone.
 */
export function gemWithoutFiles(dir: string, target: string): string | undefined {
  for (const path of installations(dir, target)) {
    for (const file of names(join(dir, path, 'specifications'))) {
      const gem = /^(.+)\.gemspec$/.exec(file)?.[1];
      if (gem === undefined) continue;
      const found = statSync(join(dir, path, 'gems', gem), { throwIfNoEntry: false });
      if (found?.isDirectory() !== true) return `${path}/gems/${gem}`;
    }
  }
  return undefined;
}

function folders(path: string): string[] {
  return names(path).filter(
    (name) =>
      !name.startsWith('.') && statSync(join(path, name), { throwIfNoEntry: false })?.isDirectory() === true,
  );
}

function names(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}
