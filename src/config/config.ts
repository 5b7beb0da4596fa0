/**
 * The environment, `.env.claude-sandbox` and the flags, parsed once into one readonly `Config`. Nothing else
 * reads `process.env`. An empty variable counts as unset, because Compose passes every variable it names; a
 * value that does not parse is an error that names the variable, never a silent default.
 */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Compression } from '../archive/types.ts';
import { CacheError } from '../errors.ts';
import { keyPrefix } from '../key.ts';
import { decodeTicket, type Ticket } from '../ticket.ts';
import { childEnvironment, fileVariables } from './child-environment.ts';
import { ENV_FILE, type EnvFile, readEnvFile, requirePlain } from './env-file.ts';
import { pem } from './key-pem.ts';
import { type S3Config, s3Choices, s3Config, ticketConfig } from './s3.ts';
import { misspelt } from './setting-names.ts';
import { placeInFile, type Sources } from './sources.ts';
import { requireTrust } from './trust.ts';
import {
  boolean,
  integer,
  invalid,
  parseBoolean,
  seconds,
  size,
  type Variables,
  withoutEmpty,
} from './values.ts';

export interface Config {
  /** Absolute path. */
  readonly projectDir: string;
  /** Where entries live. */
  readonly store: StoreConfig;
  /** Normalised: no slash at either end. */
  readonly prefix: string;
  readonly compression: Compression;
  readonly level: number | undefined;
  readonly verbose: boolean;
  readonly debug: boolean;
  /** Deadline of one operation on one recipe. */
  readonly timeoutMs: number;
  /** Longest time without a byte. */
  readonly stallTimeoutMs: number;
  /** Whether keys end in the runtime. If not, keys are those of the old shell library. */
  readonly keyRuntime: boolean;
  /** Whether entries of built-in recipes keep the files' own times. */
  readonly keepTimes: boolean;
  /** Whether an older entry may be the base of an install. */
  readonly fallback: boolean;
  /** Whether a save may copy from the entry that the tree was built on. */
  readonly delta: boolean;
  readonly keySalt: string | undefined;
  readonly readonly: boolean;
  /** Ed25519 private key, PEM. */
  readonly signingKey: string | undefined;
  /** Ed25519 public key, PEM. */
  readonly verifyKey: string | undefined;
  /** Undefined: as many as the CPUs that this process may use. */
  readonly workers: number | undefined;
  readonly limits: { maxBytes: number; maxFiles: number; maxRatio: number; maxPathBytes: number };
  /** The environment for child processes, without secrets of ours. A recipe's own is `recipeEnvironment`. */
  readonly env: Readonly<Record<string, string>>;
  /** AWS variables that child processes do not get. */
  readonly withheld: readonly string[];
  readonly envFile: EnvFile;
  /** Problems that are worth a warning, but do not stop a command. */
  readonly warnings: readonly { message: string; hint: string }[];
}

export type StoreConfig =
  | { readonly type: 'off' }
  | { readonly type: 'local'; readonly local: LocalConfig }
  | { readonly type: 's3'; readonly s3: S3Config }
  | { readonly type: 'tiered'; readonly local: LocalConfig; readonly s3: S3Config };

export interface LocalConfig {
  readonly dir: string;
  readonly maxSizeBytes: number;
}

/** Settings of the command line, which win over the environment. */
export interface Flags {
  project?: string;
  verbose?: boolean;
  /** Replaces CACHE_S3_BUCKET. */
  bucketToSetUp?: string;
}

/**
 * These take 650 MB of memory. A higher number is a mistake: 256 workers took 2.4 GB, and ten times as long
 * as two.
 */
const MOST_WORKERS = 64;

/**
 * @throws CacheError CONFIG_INVALID, naming the variable and what it takes.
 */
export function loadConfig(flags: Flags = {}, environment: NodeJS.ProcessEnv = process.env): Config {
  const projectDir = projectDirectory(flags);
  const file = readEnvFile(resolve(projectDir, ENV_FILE));
  return configFrom({ flags, projectDir, sources: { real: withoutEmpty(environment), file } });
}

/** What a configuration is made of. */
export interface Origins {
  flags: Flags;
  /** Absolute path. */
  projectDir: string;
  sources: Sources;
}

function withFlags(sources: Sources, { bucketToSetUp: CACHE_S3_BUCKET }: Flags): Sources {
  return CACHE_S3_BUCKET === undefined ? sources : { ...sources, real: { ...sources.real, CACHE_S3_BUCKET } };
}

/** @throws CacheError CONFIG_INVALID, as `loadConfig` */
export function configFrom({ flags, projectDir, sources: given }: Origins): Config {
  const sources = withFlags(given, flags);
  const { real, file } = sources;
  requirePlain(file);
  const path = resolve(projectDir, ENV_FILE);
  const env: Variables = { ...file.values, ...real };
  const ticket = readTicket(env);
  const store = storeConfig(env, sources, { projectDir, ticket });
  const signingKey = pem(env, 'CACHE_SIGNING_KEY', projectDir);
  requireTrust({ sources, projectDir, s3: 's3' in store ? store.s3 : undefined, on: store.type !== 'off' });
  const withCredentials = boolean(env, 'CACHE_INSTALL_CREDENTIALS', false);

  return {
    projectDir,
    store,
    prefix: ticket?.prefix ?? prefix(env),
    ...compression(env),
    verbose: boolean(env, 'CACHE_VERBOSE', false) || flags.verbose === true,
    debug: boolean(env, 'CACHE_DEBUG', false),
    timeoutMs: seconds(env, 'CACHE_TIMEOUT', 300),
    stallTimeoutMs: seconds(env, 'CACHE_STALL_TIMEOUT', 30),
    keyRuntime: boolean(env, 'CACHE_KEY_RUNTIME', true),
    keepTimes: boolean(env, 'CACHE_KEEP_TIMES', false),
    fallback: boolean(env, 'CACHE_FALLBACK', true),
    delta: boolean(env, 'CACHE_DELTA', true),
    keySalt: salt(env),
    readonly: boolean(env, 'CACHE_READONLY', false),
    signingKey,
    verifyKey: pem(env, 'CACHE_VERIFY_KEY', projectDir),
    workers: integer(env, 'CACHE_WORKERS', { least: 1, most: MOST_WORKERS }),
    limits: {
      maxBytes: size(env, 'CACHE_MAX_BYTES', 64e9),
      maxFiles: integer(env, 'CACHE_MAX_FILES', { least: 1, most: 1e9 }) ?? 5_000_000,
      maxRatio: integer(env, 'CACHE_MAX_RATIO', { least: 1, most: 100_000 }) ?? 200,
      maxPathBytes: 4096,
    },
    ...childEnvironment(real, { withCredentials }),
    envFile: file,
    warnings: warnings(sources, path),
  };
}

/**
 * The environment of one recipe: the real one, and below it those variables of the file that the recipe
 * names.
 * @param keyVariables as `Recipe.keyVariables`
 * @throws CacheError CONFIG_INVALID
 */
export function recipeEnvironment(
  { env, envFile }: Pick<Config, 'env' | 'envFile'>,
  { keyVariables }: { keyVariables: readonly string[] },
): Variables {
  return { ...fileVariables(envFile, keyVariables), ...env };
}

function warnings(sources: Sources, path: string): Config['warnings'] {
  const found = [misspelt(sources)];
  if (sources.file.exposed)
    found.push({ message: `${ENV_FILE} holds secrets and others may read it`, hint: `chmod 600 ${path}` });
  if ('CACHE_TRUST_ENV_FILE' in sources.file.values) {
    const message = `${placeInFile(sources, 'CACHE_TRUST_ENV_FILE')} sets CACHE_TRUST_ENV_FILE, which has no effect there`;
    found.push({ message, hint: 'A file cannot vouch for itself: set it in the environment.' });
  }
  return found.filter((warning) => warning !== undefined);
}

/** @throws CacheError USAGE if it is not a directory */
export function projectDirectory({ project = '.' }: Flags): string {
  const dir = absolute(project);
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true) return dir;
  throw new CacheError('USAGE', `${dir} is not a directory`, {
    hint: '--project takes the project directory.',
  });
}

/** @throws CacheError USAGE when the path is relative to a directory that has been removed */
function absolute(path: string): string {
  try {
    return resolve(path);
  } catch (cause) {
    throw new CacheError('USAGE', 'The current directory is not there any more', {
      hint: 'Change to one that is, or give --project an absolute path.',
      cause,
    });
  }
}

/** The environment as it is, without empty variables: for what is needed before there is a `Config`. */
export function readEnvironment(): Readonly<Record<string, string>> {
  return withoutEmpty(process.env);
}

function storeConfig(
  env: Variables,
  sources: Sources,
  { projectDir, ticket }: { projectDir: string; ticket: Ticket | undefined },
): StoreConfig {
  // Checked even where it has no effect. Otherwise the mistake would show up only when somebody turns the
  // store on.
  const maxSizeBytes = size(env, 'CACHE_LOCAL_MAX_SIZE', 10e9);
  const dir = env['CACHE_LOCAL_DIR'];
  const local = dir === undefined ? undefined : { dir: resolve(projectDir, dir), maxSizeBytes };
  const choices = s3Choices(env);
  const bucket = env['CACHE_S3_BUCKET'];
  const s3 =
    ticket !== undefined
      ? ticketConfig(env, sources, { ticket, choices })
      : bucket === undefined
        ? undefined
        : s3Config(env, sources, choices);
  if (s3 === undefined) return local === undefined ? { type: 'off' } : { type: 'local', local };
  return local === undefined ? { type: 's3', s3 } : { type: 'tiered', local, s3 };
}

function readTicket(env: Variables): Ticket | undefined {
  const text = env['CACHE_TICKET'];
  return text === undefined ? undefined : naming('CACHE_TICKET', () => decodeTicket(text));
}

function prefix(env: Variables): string {
  return naming('CACHE_S3_PREFIX', () => keyPrefix(env['CACHE_S3_PREFIX'] ?? 'claude-sandbox-cache'));
}

/** Adds the variable's name to an error about its value. */
function naming<T>(setting: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof CacheError) || error.hint === undefined || error.code !== 'CONFIG_INVALID')
      throw error;
    throw invalid(setting, error.message, { hint: error.hint, cause: error });
  }
}

function compression(env: Variables): { compression: Compression; level: number | undefined } {
  const text = env['CACHE_COMPRESSION']?.toLowerCase();
  const named = { gzip: 'gzip', zstd: 'zstd', none: 'none' } as const;
  if (text === 'gzip' || text === 'zstd' || text === 'none')
    return { compression: named[text], level: level(env, named[text]) };
  const value = text === undefined ? true : parseBoolean(text);
  if (value === undefined) {
    throw invalid('CACHE_COMPRESSION', `CACHE_COMPRESSION is "${env['CACHE_COMPRESSION']}"`, {
      hint: 'It takes true (gzip), false (no compression) or zstd.',
    });
  }
  const gzipLevel = level(env, 'gzip');
  return value ? { compression: 'gzip', level: gzipLevel } : { compression: 'none', level: undefined };
}

function level(env: Variables, kind: Compression): number | undefined {
  return integer(
    env,
    'CACHE_COMPRESSION_LEVEL',
    kind === 'zstd' ? { least: 1, most: 19 } : { least: 1, most: 9 },
  );
}

function salt(env: Variables): string | undefined {
  const text = env['CACHE_KEY_SALT'];
  if (text?.includes('\n')) {
    throw invalid('CACHE_KEY_SALT', 'CACHE_KEY_SALT holds a line break', {
      hint: 'It takes any text of one line.',
    });
  }
  return text;
}
