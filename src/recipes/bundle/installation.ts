import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { namesIn } from '../../files/names-in.ts';
import { readSmallText } from '../../files/read-small-file.ts';

/** Limit for the build log of one extension. The largest have some hundred kilobytes. */
const MAX_LOG_BYTES = 16 * 1024 * 1024;

/** `vendor/bundle/<engine>/<abi>` of each Ruby that has installed there, relative to the project. */
export function installations(dir: string, target: string): string[] {
  return folders(join(dir, target)).flatMap((engine) =>
    folders(join(dir, target, engine)).map((abi) => `${target}/${engine}/${abi}`),
  );
}

/**
 * Says what the first damaged gem lacks, for people. Bundler only looks at specifications and at one marker
 * of each extension: `bundle check` and `bundle exec` both succeed on a bundle whose `gems` folder is gone,
 * and on one without any compiled file.
 */
export function damagedGem(dir: string, target: string): string | undefined {
  for (const path of installations(dir, target)) {
    for (const gem of specified(join(dir, path))) {
      const found = statSync(join(dir, path, 'gems', gem), { throwIfNoEntry: false });
      if (found?.isDirectory() !== true) return `${path}/gems/${gem} is missing`;
      const emptied = PRECOMPILED.test(gem) ? emptiedFolder(dir, `${path}/gems/${gem}/lib`) : undefined;
      if (emptied !== undefined) return `the compiled files of ${emptied} are missing`;
    }
    for (const extension of extensionFolders(join(dir, path))) {
      const library = lostLibrary(join(dir, path), extension);
      if (library !== undefined) return `${library} of ${path}/${extension} is missing`;
    }
  }
  return undefined;
}

/** `nokogiri-1.16.0-x86_64-linux-gnu`: a gem that came compiled, so no log says what was installed. */
const PRECOMPILED = /-(?:x86_64|aarch64|arm64|arm|x86|universal)-(?:linux|darwin)[^/]*$/;

/**
 * The folder for this Ruby's own library, as in `lib/nokogiri/3.1/nokogiri.so`, if it is there and empty. No
 * package holds an empty folder. A gem that has its library elsewhere, or none, is not judged.
 */
function emptiedFolder(dir: string, lib: string): string | undefined {
  const [version] = /(?<=\/)\d+\.\d+(?=[^/]*\/gems\/)/.exec(lib) ?? [];
  const folder = pathsBelow(join(dir, lib)).find((path) => basename(path) === version);
  if (folder === undefined) return undefined;
  const path = `${lib}/${folder}`;
  const isFolder = statSync(join(dir, path), { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder && readdirSync(join(dir, path)).length === 0 ? path : undefined;
}

/** The gems of which a specification or files are there, e.g. `rack-3.0.0`. */
export function installedGems(dir: string, target: string): string[] {
  const installed = installations(dir, target).map((path) => join(dir, path));
  return installed.flatMap((path) => [...specified(path), ...namesIn(join(path, 'gems')).sort()]);
}

/** The gems of one installation that have a specification, by their full names: `rack-3.0.0`. */
export function specified(installation: string): string[] {
  const files = namesIn(join(installation, 'specifications'))
    .sort()
    .filter((name) => name.endsWith('.gemspec'));
  return files.map((name) => basename(name, '.gemspec'));
}

/** `extensions/<platform>/<abi>/<gem>`: where RubyGems puts what it compiles. */
function extensionFolders(installation: string): string[] {
  const below = (path: string): string[] =>
    folders(join(installation, path)).map((name) => `${path}/${name}`);
  return below('extensions').flatMap(below).flatMap(below);
}

/**
 * Finds a library that the build installed and that is gone. The build log names the libraries. Some
 * extensions compile none.
 */
function lostLibrary(installation: string, extension: string): string | undefined {
  const installed = installedLibraries(join(installation, extension, 'gem_make.out'));
  if (installed.length === 0) return undefined;
  // Ruby looks into the extension's folder first, then into the gem's own, where older RubyGems put a copy.
  const here = new Set(filesBelow(join(installation, extension)));
  const lost = installed.filter((name) => !here.has(name));
  if (lost.length === 0) return undefined;
  const gem = basename(extension);
  const folders = [`gems/${gem}/lib`, `bundler/gems/${gem}/lib`];
  const copies = new Set(folders.flatMap((folder) => filesBelow(join(installation, folder))));
  return lost.find((name) => !copies.has(name));
}

/** From lines such as `/usr/bin/install -c -m 0755 nokogiri.so ./.gem.20260101-1-abc/nokogiri`. */
function installedLibraries(log: string): string[] {
  let text;
  try {
    text = readSmallText(log, { maxBytes: MAX_LOG_BYTES });
  } catch {
    return [];
  }
  const lines = text.matchAll(/\binstall -c -m 0?755 (?:\S*\/)?([^\s/]+\.(?:so|bundle))\s/g);
  return [...new Set([...lines].map(([, name = '']) => name))];
}

function filesBelow(path: string): string[] {
  return pathsBelow(path).map((name) => basename(name));
}

function pathsBelow(path: string): string[] {
  try {
    return readdirSync(path, { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
}

function folders(path: string): string[] {
  return namesIn(path)
    .sort()
    .filter(
      (name) =>
        !name.startsWith('.') &&
        statSync(join(path, name), { throwIfNoEntry: false })?.isDirectory() === true,
    );
}
