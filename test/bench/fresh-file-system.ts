/** A file system of its own for every round, on a loop device in memory: nothing of the round before is left in it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const FILE_SYSTEMS = ['ext4', 'overlayfs', 'xfs'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

/** Sparse: it takes the memory that is written. */
const IMAGE_SIZE = '4G';

export interface FreshFileSystem {
  /** Where a project may lie; it is there between `open` and `close`. */
  dir: string;
  /** @throws Error where this machine may not mount, or lacks the program that makes the file system */
  open: () => void;
  close: () => void;
}

/** What is mounted, the last on top. */
const stacks = new Set<string[]>();

// Ctrl-C in the middle of a round.
process.once('exit', () => {
  for (const on of [...stacks].flatMap((stack) => stack.reverse()))
    execFileSync('umount', ['-l', on], { stdio: 'ignore' });
});

/** overlayfs lies on ext4, as it does below most containers. */
export function freshFileSystem(kind: FileSystem, scratch: string): FreshFileSystem {
  const place = join(scratch, `mount-${kind}`);
  const [image, disk] = [join(place, 'image'), join(place, 'disk')];
  const merged = join(place, 'merged');
  const mounted: string[] = [];
  const mount = (on: string, args: readonly string[]): void => {
    execFileSync('mount', [...args, on], { stdio: 'pipe' });
    mounted.push(on);
  };
  const close = (): void => {
    for (const on of mounted.splice(0).reverse()) execFileSync('umount', [on], { stdio: 'pipe' });
    rmSync(place, { recursive: true, force: true });
  };
  stacks.add(mounted);
  return {
    dir: kind === 'overlayfs' ? merged : disk,
    open: () => {
      close();
      for (const folder of [disk, merged]) mkdirSync(folder, { recursive: true });
      execFileSync('truncate', ['-s', IMAGE_SIZE, image]);
      const make = kind === 'xfs' ? ['mkfs.xfs', '-q', image] : ['mkfs.ext4', '-q', '-F', image];
      execFileSync(make[0] ?? '', make.slice(1), { stdio: 'pipe' });
      mount(disk, ['-o', 'loop', image]);
      if (kind !== 'overlayfs') return;
      const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => join(disk, name));
      for (const folder of [lower, upper, work]) mkdirSync(folder ?? '');
      mount(merged, [
        '-t',
        'overlay',
        'overlay',
        '-o',
        `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
      ]);
    },
    close,
  };
}

/** Why it cannot be measured here; undefined where it can. */
export function unmountable(kind: FileSystem, scratch: string): string | undefined {
  const place = freshFileSystem(kind, scratch);
  try {
    place.open();
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n').at(-2) ?? error.message) : String(error);
  } finally {
    place.close();
  }
}
