/**
 * Puts similar files next to each other, for deflate only remembers 32 KiB: the files of a section are sorted
 * by the last two segments of their paths, so that `esm/add.js` of one place meets `esm/add.js` of the next. On
 * a real node_modules that takes 1.3 % off the archive and costs nothing; over the whole tree it takes off no
 * more, and files made in one directory would be spread over the archive.
 *
 * A section ends with its links, for a tar program must meet a file before the links to it, and then its
 * directories, each after all that is in it: any tar program then leaves it with the right time, and a
 * read-only one can still be filled.
 */
import { TYPE_DIRECTORY, TYPE_FILE, type TarEntry } from '../format/tar-header.ts';

/** @param section directories come after what is in them, links after the files they are links to */
export function arranged<E extends TarEntry>(section: readonly E[]): E[] {
  const files = section
    .filter((entry) => entry.type === TYPE_FILE)
    .map((entry) => ({ entry, key: `${lastTwo(entry.path)}\0${entry.path}` }));
  files.sort((a, b) => (a.key < b.key ? -1 : 1));
  return [
    ...files.map(({ entry }) => entry),
    ...section.filter((entry) => entry.type !== TYPE_FILE && entry.type !== TYPE_DIRECTORY),
    ...section.filter((entry) => entry.type === TYPE_DIRECTORY),
  ];
}

/** `a/b/c.js` → `b/c.js` */
function lastTwo(path: string): string {
  const last = path.lastIndexOf('/');
  return path.slice(path.lastIndexOf('/', last - 1) + 1);
}
