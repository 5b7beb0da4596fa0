/** Every kind of target that a restore may meet, made in a directory of its own with version `old` in it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isCi } from '../support/ci.ts';
import { isRoot } from '../support/user.ts';
import { confirmVersion, makeVersion, type Restore } from './versions.ts';

export interface Scene {
  /** Holds all there is, the project among it. */
  base: string;
  restore: Restore;
  /** Unmounts and removes everything. */
  remove: () => void;
}

export interface Kind {
  name: string;
  /** Needs mount(2). */
  mounts: boolean;
  /** The restore runs as this user; needs root to become it. */
  uid?: number;
  /** At any moment there is the old tree or the new one, whole; between two renames there may be none. */
  plain: boolean;
  make: (base: string, mount: Mount) => Restore;
}

/** Calls mount(8); unmounted again when the scene is removed. */
export type Mount = (...args: string[]) => void;

export const KINDS: readonly Kind[] = [
  {
    name: 'nothing there',
    mounts: false,
    plain: true,
    make: (base) => newVersion(base, ['node_modules']),
  },
  {
    name: 'a directory',
    mounts: false,
    plain: true,
    make: (base) => withOld(newVersion(base, ['vendor/bundle'])),
  },
  {
    name: 'several directories, one new, one to go',
    mounts: false,
    plain: false,
    make: (base) => {
      const targets = [
        'node_modules',
        'packages/a/node_modules',
        'packages/gone/node_modules',
        'far/new/node_modules',
      ];
      const restore = newVersion(base, targets);
      withOld({ ...restore, present: targets.slice(0, 3) });
      return { ...restore, present: targets.filter((target) => !target.includes('gone')) };
    },
  },
  {
    name: 'a directory and two files, one new',
    mounts: false,
    plain: false,
    make: (base) => {
      const targets = ['node_modules', '.pnp.cjs', 'far/new.cjs'];
      const restore = newVersion(base, targets);
      withOld({ ...restore, present: targets.slice(0, 2) });
      return restore;
    },
  },
  {
    name: 'a symlink to a directory of the same name',
    mounts: false,
    plain: true,
    make: (base) => {
      mkdirSync(join(base, 'cache/node_modules'), { recursive: true });
      mkdirSync(join(base, 'project'));
      symlinkSync('../cache/node_modules', join(base, 'project/node_modules'));
      return withOld(newVersion(base, ['node_modules']));
    },
  },
  {
    name: 'a symlink to a directory of another name',
    mounts: false,
    plain: false,
    make: (base) => {
      mkdirSync(join(base, 'cache/modules'), { recursive: true });
      mkdirSync(join(base, 'project'));
      symlinkSync(join(base, 'cache/modules'), join(base, 'project/node_modules'));
      return withOld(newVersion(base, ['node_modules']));
    },
  },
  {
    name: 'a symlink on the way',
    mounts: false,
    plain: true,
    make: (base) => {
      mkdirSync(join(base, 'elsewhere'), { recursive: true });
      mkdirSync(join(base, 'project'));
      symlinkSync('../elsewhere', join(base, 'project/vendor'));
      return withOld(newVersion(base, ['vendor/bundle']));
    },
  },
  {
    name: 'a mount point',
    mounts: true,
    plain: false,
    make: (base, mount) => {
      const restore = newVersion(base, ['node_modules']);
      mkdirSync(join(restore.project, 'node_modules'));
      mount('-t', 'tmpfs', 'none', join(restore.project, 'node_modules'));
      return withOld(restore);
    },
  },
  {
    name: 'a bind mount of the same file system',
    mounts: true,
    plain: false,
    make: (base, mount) => {
      const restore = newVersion(base, ['node_modules']);
      mkdirSync(join(restore.project, 'node_modules'));
      mkdirSync(join(base, 'volume'));
      mount('--bind', join(base, 'volume'), join(restore.project, 'node_modules'));
      return withOld(restore);
    },
  },
  {
    name: 'a directory with a mount point in it',
    mounts: true,
    plain: false,
    make: (base, mount) => {
      const restore = withOld(newVersion(base, ['node_modules']));
      mkdirSync(join(restore.project, 'node_modules/.cache'));
      mount('-t', 'tmpfs', 'none', join(restore.project, 'node_modules/.cache'));
      mkdirSync(join(restore.project, 'node_modules/.cache/kept'));
      return restore;
    },
  },
  {
    name: 'a directory of a lower overlayfs layer',
    mounts: true,
    plain: false,
    make: (base, mount) => {
      const image = newVersion(join(base, 'image'), ['node_modules', 'packages/a/node_modules']);
      withOld(image);
      // An upper layer may not lie on overlayfs, which the temporary directory of a container does.
      mkdirSync(join(base, 'layers'));
      mount('-t', 'tmpfs', 'none', join(base, 'layers'));
      const project = join(base, 'project');
      for (const dir of ['layers/upper', 'layers/work', 'project']) mkdirSync(join(base, dir));
      const layers = `lowerdir=${image.project},upperdir=${base}/layers/upper,workdir=${base}/layers/work`;
      mount('-t', 'overlay', 'overlay', '-o', layers, project);
      return { ...image, project };
    },
  },
  {
    name: 'directories on different file systems',
    mounts: true,
    plain: false,
    make: (base, mount) => {
      const restore = newVersion(base, [
        'node_modules',
        'packages/a/node_modules',
        'packages/b/x/node_modules',
      ]);
      for (const name of ['packages/a', 'packages/b']) {
        mkdirSync(join(restore.project, name), { recursive: true });
        mount('-t', 'tmpfs', 'none', join(restore.project, name));
      }
      withOld({ ...restore, present: restore.present.slice(0, 2) });
      return restore;
    },
  },
];

/** `nobody` on every Linux: owns nothing but what is given to it here. */
export const NOBODY = 65_534;

/** Targets that an ordinary user may write to in a project that it may not. */
export const KINDS_OF_NOBODY: readonly Kind[] = [
  {
    name: 'a directory of ours in one that is not',
    mounts: false,
    plain: false,
    uid: NOBODY,
    make: (base) => {
      const restore = withOld(newVersion(base, ['node_modules', 'packages/a/node_modules']));
      for (const target of restore.targets) giveTo(NOBODY, join(restore.project, target));
      return restore;
    },
  },
  {
    name: 'a directory in one of ours in a project that is not',
    mounts: false,
    plain: true,
    uid: NOBODY,
    make: (base) => {
      const restore = withOld(newVersion(base, ['vendor/bundle']));
      giveTo(NOBODY, join(restore.project, 'vendor'));
      return restore;
    },
  },
  {
    name: 'a symlink to a directory of ours',
    mounts: false,
    plain: true,
    uid: NOBODY,
    make: (base) => {
      mkdirSync(join(base, 'cache/node_modules'), { recursive: true });
      mkdirSync(join(base, 'project'));
      symlinkSync('../cache/node_modules', join(base, 'project/node_modules'));
      const restore = withOld(newVersion(base, ['node_modules']));
      giveTo(NOBODY, join(base, 'cache'));
      return restore;
    },
  },
];

/** A whole tree. */
export function giveTo(uid: number, dir: string): void {
  execFileSync('chown', ['-R', `${uid}:${uid}`, dir]);
}

export function makeScene(kind: Pick<Kind, 'make'>): Scene {
  const base = mkdtempSync(join(realpathSync(tmpdir()), 'sandbox-cache-scene-'));
  chmodSync(base, 0o755);
  const mounted: string[] = [];
  const mount: Mount = (...args) => {
    execFileSync('mount', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    mounted.push(args.at(-1) ?? '');
  };
  const remove = (): void => {
    for (const point of mounted.reverse()) execFileSync('umount', ['-l', point]);
    rmSync(base, { recursive: true, force: true });
  };
  try {
    return { base, restore: kind.make(base, mount), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Why mounting is not possible here, if so; in CI it has to be. */
export function whyNoMounts(): string | undefined {
  try {
    makeScene({
      make: (base, mount) => {
        mount('-t', 'tmpfs', 'none', base);
        return newVersion(base, []);
      },
    }).remove();
    return undefined;
  } catch (error) {
    const reason = `mounting is not permitted here: ${error instanceof Error ? error.message.trim() : String(error)}`;
    if (isCi(process.env) && isRoot()) throw new Error(reason, { cause: error });
    return reason;
  }
}

function newVersion(base: string, targets: readonly string[]): Restore {
  const project = join(base, 'project');
  mkdirSync(project, { recursive: true });
  return { project, targets, present: targets, version: 'new' };
}

/** Version `old` in every present target, restored in its time. */
function withOld(restore: Restore): Restore {
  for (const target of restore.present) makeVersion(join(restore.project, target), 'old');
  confirmVersion({ ...restore, version: 'old' });
  return restore;
}
