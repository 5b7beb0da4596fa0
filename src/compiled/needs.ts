/**
 * What the compiled files of a tree need of a machine: symbol versions of the C and C++ libraries, the
 * highest of each, and libraries that are not in the tree. It travels with an entry as text: `GLIBC_2.34
 * GLIBCXX_3.4.30 libpq.so.5`.
 *
 * Only what the saving machine has itself is recorded. Packages bring variants along for other machines, and
 * the tree works without those.
 */
import type { CompiledFile } from './compiled-file.ts';
import { byVersion, type Machine } from './machine.ts';

/** Symbol versions that grow with the system, by family, and the library that offers them. */
const FAMILIES: Readonly<Record<string, string>> = {
  GLIBC: 'libc.so.6',
  GLIBCXX: 'libstdc++.so.6',
  CXXABI: 'libstdc++.so.6',
};

/** Parts of the C library, which its version speaks for. */
const OF_LIBC = /^(?:ld-linux[\w.-]*|ld64|lib(?:c|m|dl|pthread|rt|util|resolv|anl|mvec))\.so\.\d+$/;

/** All that libraries and versions are called. */
const NAME = /^[\w.+-]+$/;

/** S3 allows 2 KB for all that travels with an object. */
const MAX_TEXT_LENGTH = 1024;

/** @param arch as `process.arch` has it: files for other processors do not count */
export function needsOf(files: readonly CompiledFile[], machine: Machine, arch: string): string {
  const inTree = new Set(files.flatMap(({ name, soname }) => [name, soname ?? name]));
  const highest = new Map<string, string>();
  const libraries = new Set<string>();
  for (const file of files) {
    if (file.arch !== arch) continue;
    for (const { library, version } of file.neededVersions) {
      if (inTree.has(library) || !isMet(version, machine)) continue;
      const [family, number] = split(version)!;
      const before = highest.get(family);
      if (before === undefined || byVersion(before, number) < 0) highest.set(family, number);
    }
    for (const library of file.needed) {
      const isOwn = inTree.has(library) || OF_LIBC.test(library);
      if (!isOwn && NAME.test(library) && machine.hasLibrary(library)) libraries.add(library);
    }
  }
  const versions = [...highest].map(([family, number]) => `${family}_${number}`);
  return fitting([...versions.sort(), ...[...libraries].sort()]);
}

/** The needs that this machine does not meet. */
export function unmetNeeds(needs: string, machine: Machine): string[] {
  const all = needs
    .slice(0, MAX_TEXT_LENGTH)
    .split(' ')
    .filter((need) => NAME.test(need));
  return all.filter((need) =>
    split(need) === undefined ? !machine.hasLibrary(need) : !isMet(need, machine),
  );
}

/** Whether the machine offers this version or a higher one. Versions of other families never count as met. */
function isMet(version: string, machine: Machine): boolean {
  const [family, number] = split(version) ?? [];
  if (family === undefined || number === undefined) return false;
  const offered = machine.versionsOf(FAMILIES[family]!).map(split);
  return offered.some((other) => other?.[0] === family && byVersion(other[1], number) >= 0);
}

/**
 * `GLIBC_2.34` → `['GLIBC', '2.34']`; undefined for versions that have no order, such as `GLIBC_PRIVATE`, and
 * for libraries.
 */
function split(version: string): [family: string, number: string] | undefined {
  const [, family = '', number = ''] = /^([A-Z]+)_(\d+(?:\.\d+)*)$/.exec(version) ?? [];
  return Object.hasOwn(FAMILIES, family) ? [family, number] : undefined;
}

function fitting(needs: readonly string[]): string {
  let text = '';
  for (const need of needs) {
    const longer = text === '' ? need : `${text} ${need}`;
    if (longer.length <= MAX_TEXT_LENGTH) text = longer;
  }
  return text;
}
