/**
 * What a package manager is: where its lockfile and its directories are, what its compiled artefacts depend
 * on, and how to install and to verify. Adding one is one file here plus a line in `index.ts`; see
 * docs/EXTENDING.md.
 */
export interface Recipe {
  /**
   * This recipe as the project and its environment have it, where those may name another lockfile or another
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
   * Environment variables that change what is installed: mixed into the hash when set (not empty).
   * `NAME=value` counts with that value only, and `NAME*` stands for all that begin with NAME.
   */
  readonly keyVariables: readonly string[];
  /**
   * What else changes the tree, by name: mixed into the hash as variables are, and in place of one of that
   * name. An empty value does not count. @default nothing
   */
  readonly keyValues?: Readonly<Record<string, string>>;
  /**
   * Further files that change what is installed, as far as they are there: relative to the project, with `*`
   * for any run of characters but `/`, e.g. `patches/*.patch`.
   */
  readonly keyFiles?: readonly string[];

  /** The interpreter whose build the compiled artefacts depend on (`ruby`, `node`): looked for on PATH. */
  readonly program?: string;

  /**
   * Whether targets may be single files.
   * @default false: what is not a directory does not count as installed
   */
  readonly fileTargets?: boolean;

  /** The directory that every entry has, relative to the project: the first of `targets`. */
  readonly mainTarget: string;

  /**
   * Directories the entry consists of, relative to the project, `/`-separated, first the main one (which
   * carries the markers). All that this lockfile could have: some may not exist. Nothing outside them is ever
   * packed, written or removed.
   */
  targets(project: Project): Promise<string[]>;

  /**
   * What within the targets is not worth storing: project-relative paths whose segments may hold `*` (any run
   * of characters but `/`), e.g. `vendor/bundle/ruby/x.y.z/cache/NAME.gem` as two `*`. A directory that
   * matches is left out whole.
   */
  excludes(targets: readonly string[]): string[];

  /**
   * Which directories hold one package each: what their paths end in, segments with `*` for any run of
   * characters but `/` (none that begins with a dot, where it comes first). An archive is cut between them, so
   * that what has not changed is stored as it was. The innermost counts.
   * @default none is known: each directory counts as one
   */
  readonly packages?: readonly string[];

  /**
   * Whether an entry keeps the files' own times, because something compares them: Python does, with what its
   * `.pyc` files say.
   * @default false: times are made from what files hold, those of `witnesses` excepted
   */
  readonly keepsTimes?: boolean;

  /**
   * The ABI part of the runtime, e.g. `ruby3.1.0`, `node115`; empty for none.
   * @throws CacheError RUNTIME_MISSING when the program is not on PATH or cannot tell.
   */
  abi(project: Project, signal: AbortSignal): Promise<string>;

  /**
   * Files and directories whose modification time tells that an installer has worked in the targets since
   * (receipts survive `npm install` and `bundle install`). Few: they are looked at on every start. Relative
   * to the project.
   */
  witnesses(project: Pick<Project, 'dir'>, targets: readonly string[]): string[];

  /** The recipe's own install command; undefined where there is none (custom recipes). */
  install(project: Project): Command | undefined;

  /** How to install on top of an older entry. @default always from nothing */
  incremental?(): Promise<Incremental>;

  /**
   * What is wrong with the project so that its entries are never found again, and the fix, which is a line to
   * type: worth a warning on a miss.
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
   * Where the package manager looks in place of the targets, set as it is in the caller's environment. A tree
   * that it does not look into is of no use, however good it is. Few and small files are read, no program is
   * started.
   */
  lookElsewhere?(project: Project): Elsewhere | undefined;

  /**
   * What the present settings leave out of an install, such as groups of gems. A tree that lacks only that is
   * good for whoever saved it, so it must not be replaced by one that lacks something else.
   */
  leftOut?(project: Project): string;

  /**
   * Whether `verify` starts no process and takes some milliseconds: then it is also asked where a receipt is
   * in place.
   */
  readonly verifiesQuickly?: boolean;

  /**
   * For a recipe whose `verify` is slow: a look of some milliseconds where a receipt is in place. Whether
   * something seems to be missing, so that `verify` ought to be asked.
   * @default never
   */
  looksDamaged?(project: Project, signal: AbortSignal): Promise<boolean>;

  /**
   * Whether the targets hold packages that the lockfile does not name. They are usable all the same, but they
   * are not what an install would make: `restore --fallback` may have left them.
   */
  holdsMore?(project: Project): Promise<boolean>;

  /** Whether `verify` holds the targets against the lockfile, not only looks whether they are there. */
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

  /** Removes from the older tree all that an install from nothing might make differently. */
  prune(project: Project, signal: AbortSignal): Promise<Pruned>;

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
 * What a verification comes to. `blame` says what has to change before it can pass:
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
  /** A sentence that says so, with the line that mends it. */
  reason: string;
  /** That line, to be typed into a shell in the project. */
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
