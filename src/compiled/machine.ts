/** Which libraries the dynamic loader of this machine finds, and which symbol versions they offer. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from '../files/names-in.ts';
import { readSmallFile, readSmallText } from '../files/read-small-file.ts';
import { readDynamicFile } from './dynamic.ts';

export interface Machine {
  /** Whether a program here finds a library of this name, e.g. `libpq.so.5`. */
  hasLibrary(name: string): boolean;
  /** The symbol versions that a library offers, e.g. `GLIBC_2.36`. Empty when it is not here. */
  versionsOf(library: string): readonly string[];
  /**
   * The kind of image, for keys: `debian12`, `alpine3`. An image that does not say is named by its C library:
   * `glibc2.36`.
   */
  image(): string;
}

export interface MachineOptions {
  /** Of the programs that load the libraries: `LD_LIBRARY_PATH` counts. */
  env: Readonly<Record<string, string>>;
  /** Where the system is. @default '' */
  root?: string;
}

/** Some thousand libraries of a desktop; a container has a hundred. */
const MAX_CACHE_BYTES = 16 * 1024 * 1024;
const MAX_OS_RELEASE_BYTES = 64 * 1024;

export function createMachine({ env, root = '' }: MachineOptions): Machine {
  const own = (env['LD_LIBRARY_PATH'] ?? '').split(':').filter((folder) => folder.startsWith('/'));
  const listed = once(() => readLoaderCache(root));
  const system = once(() => systemFolders(root));
  const versions = new Map<string, readonly string[]>();

  const findIn = (folders: readonly string[], name: string): string | undefined =>
    folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  const locate = (name: string): string | undefined => {
    const path = findIn(own, name);
    if (path !== undefined) return path;
    const cached = findListed(listed(), name);
    return cached !== undefined && existsSync(root + cached) ? root + cached : findIn(system(), name);
  };
  const versionsOf = (library: string): readonly string[] => {
    const known = versions.get(library);
    if (known !== undefined) return known;
    const path = locate(library);
    const found = (path === undefined ? undefined : readDynamicFile(path)?.versions) ?? [];
    versions.set(library, found);
    return found;
  };
  return {
    hasLibrary: (name) => locate(name) !== undefined,
    versionsOf,
    image: () => imageOf(root, versionsOf),
  };
}

function once<T>(work: () => T): () => T {
  let done: { value: T } | undefined;
  return () => (done ??= { value: work() }).value;
}

/** Where loaders look by default: glibc's own folders, those of Debian's architectures, and musl's. */
function systemFolders(root: string): string[] {
  const bases = ['/lib', '/usr/lib', '/lib64', '/usr/lib64', '/usr/local/lib'].map((path) => root + path);
  const multiarch = bases.flatMap((base) =>
    namesIn(base)
      .filter((name) => /-linux-(?:gnu|musl)/.test(name))
      .map((name) => join(base, name)),
  );
  return [...bases, ...multiarch];
}

const CACHE_MAGIC = 'glibc-ld.so.cache1.1';
const CACHE_HEAD_LENGTH = 48;
const CACHE_ENTRY_LENGTH = 24;

/**
 * glibc's list of libraries (`cache_file_new` in its dl-cache.h): a head with their number, then for each its
 * flags and where its name and its path begin. An older list may lie before it. Only the name that is asked
 * for is compared: some hundred reads, in place of as many strings.
 * @returns where the library is; undefined where it is not listed, and with musl, which has no list
 */
function findListed(list: Buffer, name: string): string | undefined {
  try {
    const count = list.readUInt32LE(CACHE_MAGIC.length);
    for (let i = 0; i < count; i++) {
      const at = CACHE_HEAD_LENGTH + i * CACHE_ENTRY_LENGTH;
      const from = list.readUInt32LE(at + 4);
      const end = from + name.length;
      if (list[end] !== 0 || list.toString('latin1', from, end) !== name) continue;
      const path = list.readUInt32LE(at + 8);
      return list.toString('latin1', path, list.indexOf(0, path));
    }
  } catch (error) {
    // It is shorter than it says.
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}

function readLoaderCache(root: string): Buffer {
  try {
    const { bytes } = readSmallFile(`${root}/etc/ld.so.cache`, { maxBytes: MAX_CACHE_BYTES });
    const at = bytes.indexOf(CACHE_MAGIC);
    return at === -1 ? EMPTY : bytes.subarray(at);
  } catch {
    return EMPTY;
  }
}

const EMPTY = Buffer.alloc(0);

function imageOf(root: string, versionsOf: Machine['versionsOf']): string {
  const { id, version } = readOsRelease(root);
  const major = /^\d+/.exec(version ?? '')?.[0];
  if (id !== undefined && /^[a-z0-9._-]+$/.test(id) && major !== undefined) return `${id}${major}`;
  const libc = versionsOf('libc.so.6').flatMap((name) => /^GLIBC_(\d+\.\d+)$/.exec(name)?.[1] ?? []);
  const newest = libc.sort(byVersion).at(-1);
  return newest === undefined ? 'musl' : `glibc${newest}`;
}

/** The fields `ID` and `VERSION_ID` of os-release(5). */
function readOsRelease(root: string): { id: string | undefined; version: string | undefined } {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      const text = readSmallText(root + path, { maxBytes: MAX_OS_RELEASE_BYTES });
      const field = (name: string): string | undefined =>
        new RegExp(`^${name}=["']?(.*?)["']?\\s*$`, 'm').exec(text)?.[1];
      return { id: field('ID'), version: field('VERSION_ID') };
    } catch {
      // The next one.
    }
  }
  return { id: undefined, version: undefined };
}

/** `2.9` before `2.34`. */
export function byVersion(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number));
  for (let i = 0; i < Math.max(left!.length, right!.length); i++) {
    const difference = (left![i] ?? 0) - (right![i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
