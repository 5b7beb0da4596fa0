/**
 * What a package manager is: where its lockfile and its directories are, what its compiled artefacts depend
 * on, and how to install and to verify. Adding one is one file here plus a line in `index.ts`; see
 * docs/EXTENDING.md.
 */
export interface Recipe {
  /**
   * Returns this recipe as it applies to the project and its environment, which may name another lockfile or
   * directory.
   * @default itself
   */
  at?(place: Pick<Project, 'dir' | 'env'>): Recipe;

  /** Part of the key: `bundle`, `npm`. Lower-case letters, digits and `-`. */
  readonly name: string;
  /** For result lines: `Ruby gems`, `Node packages`. */
  readonly label: string;
  /** Lockfiles looked for, relative to the project, in order of preference: the first that exists counts. */
  readonly lockfiles: readonly string[];
  /** All of `lockfiles` must be there and all of them count. */
  readonly everyLockfile?: boolean;
  /**
   * Environment variables that change what is installed. They go into the hash if they are set and not empty.
   * `NAME=value` counts with that value only, and `NAME*` stands for all that begin with NAME.
   */
  readonly keyVariables: readonly string[];
  /**
   * Other values that change the tree, by name. They go into the hash like variables, and replace a variable
   * of the same name. An empty value does not count. @default nothing
   */
  readonly keyValues?: Readonly<Record<string, string>>;
  /**
   * Further files that change what is installed, if they exist. Relative to the project; `*` stands for any
   * characters but `/`, e.g. `patches/*.patch`.
   */
  readonly keyFiles?: readonly string[];

  /** The interpreter that compiled artefacts depend on (`ruby`, `node`). It is looked up on PATH. */
  readonly program?: string;

  /**
   * Whether targets may be single files.
   * @default false: anything but a directory does not count as installed
   */
  readonly fileTargets?: boolean;

  /** The directory that every entry has, relative to the project: the first of `targets`. */
  readonly mainTarget: string;

  /**
   * The directories that the entry consists of, relative to the project, `/`-separated, the main one first.
   * These are all that this lockfile could have, so some may not exist. Nothing outside them is ever packed,
   * written or removed.
   */
  targets(project: Project): Promise<string[]>;

  /**
   * What is not worth storing in the targets: paths relative to the project, whose segments may hold `*` (any
   * characters but `/`), e.g. `vendor/bundle/ruby/x.y.z/cache/NAME.gem` as two `*`. A directory that matches
   * is left out with everything in it.
   */
  excludes(targets: readonly string[]): string[];

  /**
   * Which directories hold one package each: the ends of their paths. In a segment `*` stands for any
   * characters but `/`; at its beginning it does not match a dot. An archive is cut between packages, so that
   * an unchanged package is stored as before. The innermost match counts.
   * @default none is known: each directory counts as one
   */
  readonly packages?: readonly string[];

  /**
   * Whether an entry keeps the files' own times, because something compares them: Python compares them with
   * its `.pyc` files.
   * @default false: times are made from the files' contents, except for `witnesses`
   */
  readonly keepsTimes?: boolean;

  /**
   * The ABI part of the runtime, e.g. `ruby3.1.0`, `node115`; empty for none.
   * @throws CacheError RUNTIME_MISSING if the program is not on PATH or fails.
   */
  abi(project: Project, signal: AbortSignal): Promise<string>;

  /**
   * Files and directories whose modification time shows that an installer has worked in the targets (receipts
   * survive `npm install` and `bundle install`). There must be few, because every start looks at them.
   * Relative to the project.
   */
  witnesses(project: Pick<Project, 'dir'>, targets: readonly string[]): string[];

  /** The recipe's own install command; undefined where there is none (custom recipes). */
  install(project: Project): Command | undefined;

  /** How to install on top of an older entry. @default always from nothing */
  incremental?(): Promise<Incremental>;

  /**
   * Says why entries of this project can never be found again, if so, with the command that fixes it. A miss
   * warns about it.
   */
  advice?(project: Project): { message: string; hint: string; fix: string } | undefined;

  /**
   * Checks that the targets hold what the lockfile asks for. Must not write into the targets and needs no
   * network.
   * @throws CacheError RUNTIME_MISSING when a program that it needs cannot be started
   */
  verify(project: Project, signal: AbortSignal): Promise<Verdict>;

  /**
   * For a recipe whose `verify` believes what the package manager has written down: looks for itself. Asked of
   * trees that were not restored here, before they are taken for installed or saved.
   * @default `verify`
   */
  verifyThoroughly?(project: Project, signal: AbortSignal): Promise<Verdict>;

  /**
   * Where the package manager looks instead of the targets, as it is configured in the caller's environment.
   * A tree in which it does not look is useless, however good. Reads a few small files, and starts no
   * program.
   */
  lookElsewhere?(project: Project): Elsewhere | undefined;

  /**
   * What the present settings leave out of an install, such as groups of gems. A tree that lacks only that is
   * good for the one who saved it. So it must not be replaced by a tree that lacks something else.
   */
  leftOut?(project: Project): string;

  /**
   * Whether `verify` takes only milliseconds and starts no process. If so, it is also called when a receipt
   * is in place.
   */
  readonly verifiesQuickly?: boolean;

  /**
   * For a recipe whose `verify` is slow: whether something seems to be missing, so that `verify` should be
   * called although a receipt is in place. Takes milliseconds.
   * @default never
   */
  looksDamaged?(project: Project, signal: AbortSignal): Promise<boolean>;

  /**
   * Whether the targets hold packages that the lockfile does not name. Such a tree is usable, but an install
   * would not make it: `restore --fallback` may have left them.
   */
  holdsMore?(project: Project): Promise<boolean>;

  /** Whether `verify` compares the targets with the lockfile, and does not only check that they exist. */
  readonly verifiesLockfile: boolean;

  /** Marker for old scripts, relative to the project: `.bundle/.installed`, `node_modules/.installed`. */
  readonly marker: string;
}

/**
 * How a package manager installs on top of the tree of an older lockfile, such that the tree comes out as an
 * install from nothing would have made it.
 */
export interface Incremental {
  /**
   * One text for each package of the lockfile: its place, its version and what it is made of. Lockfiles are
   * compared by them.
   * @returns undefined where an install on top of an older tree may come out differently
   */
  packages(project: Project): readonly string[] | undefined;

  /** Whether the recipe's own install removes first what is there. */
  readonly startsFromNothing: boolean;

  /**
   * Removes from the older tree all that an install from nothing might make differently.
   * @param stays what lies among the tree and is no part of it, relative to the project: mount points that are
   *   children of a target, and targets that are links into another one. Nothing in it is touched or kept.
   *   @default nothing
   */
  prune(project: Project, signal: AbortSignal, stays?: ReadonlySet<string>): Promise<Pruned>;

  /** The command that adds what is missing, and leaves the lockfile alone. */
  install(project: Project): Command | undefined;

  /** How many packages are in the tree. */
  count(project: Project): number;

  /** What an install from nothing would not have left, as far as `verify` passes over it. */
  stray(project: Project, pruned: Pruned): string | undefined;

  /**
   * Whether a later install can build on the tree, to be asked right after an install. It cannot if a script
   * has changed a package that `prune` would keep, or if nobody can tell.
   * @param pruned what the install began with @default nothing
   */
  isPristine(project: Project, pruned?: Pruned): boolean;
}

export interface Pruned {
  /** The places of the packages that were kept, relative to the project. */
  kept: ReadonlySet<string>;
  /** When the tree was last written to, ms since 1970 by the clock of its file system. */
  endedMs: number;
}

/**
 * The result of a verification. `blame` says what has to change before it can pass:
 *
 * - `entry`: the targets lack something, or hold something wrong. An entry with this content is of no use to
 *   anybody.
 * - `settings`: the targets lack something that `leftOut` may have left out where they were installed. The
 *   entry is good for whoever has those settings.
 * - `machine`: everything else. A program is missing or cannot be started, a file may not be read, a setting
 *   sends the package manager elsewhere, sources are not copied yet. The same entry may be good on another
 *   machine, or here tomorrow. A recipe that cannot tell blames the machine: a sound entry must not be
 *   replaced.
 *
 * `partial` says why a usable tree holds less than its lockfile names, e.g. `packages/web is not in this
 * checkout`. It must not be stored for others, who may need the rest.
 */
export type Verdict = { ok: true; partial?: string } | { ok: false; reason: string; blame: Blame };

export type Blame = 'entry' | 'settings' | 'machine';

export interface Elsewhere {
  /** e.g. `/usr/local/bundle (BUNDLE_PATH in the environment)` */
  where: string;
  /** A sentence that says so, with the command that fixes it. */
  reason: string;
  /** That command, to be typed into a shell in the project. */
  fix: string;
}

/** The project a recipe works in. */
export interface Project {
  /** Absolute path. */
  dir: string;
  /** The lockfile found, relative to `dir`. */
  lockfile: string;
  /** The environment for child processes: PATH and the rest, with our own secrets taken out. */
  env: Readonly<Record<string, string>>;
}

/** A program and its arguments, run in the project directory with `env` added to the project's. */
export interface Command {
  argv: readonly [string, ...string[]];
  env: Readonly<Record<string, string>>;
}
