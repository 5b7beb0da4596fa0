/**
 * The environment, `.env.claude-sandbox` and the flags, parsed once into one readonly `Config`. Nothing else reads
 * `process.env`. An empty variable counts as unset, because Compose passes every variable it names; a value that does
 * not parse is an error that names the variable, never a silent default.
 */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { CacheError, systemCode } from './errors.ts';
import { keyPrefix } from './key.ts';
import type { Compression } from './archive/types.ts';

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
  /** Whether keys end in the runtime. Without it keys are the old shell library's. */
  readonly keyRuntime: boolean;
  readonly keySalt: string | undefined;
  readonly readonly: boolean;
  /** Ed25519 private key, PEM. */
  readonly signingKey: string | undefined;
  /** Ed25519 public key, PEM. */
  readonly verifyKey: string | undefined;
  /** Undefined: the CPUs this process may use. */
  readonly workers: number | undefined;
  readonly limits: { maxBytes: number; maxFiles: number; maxRatio: number; maxPathBytes: number };
  /** For child processes and for the variables that go into keys: PATH and the rest, our own secrets taken out. */
  readonly env: Readonly<Record<string, string>>;
  /** Problems worth a warning, not worth stopping for. */
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

export interface S3Config {
  readonly bucket: string;
  /** Undefined: the profile's, else us-east-1. */
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  /** Undefined: path style with a custom endpoint. */
  readonly forcePathStyle: boolean | undefined;
  readonly accelerate: boolean;
  readonly sse: 'AES256' | 'aws:kms' | 'aws:kms:dsse' | undefined;
  readonly kmsKeyId: string | undefined;
  /** Only those of `.env.claude-sandbox`; the SDK finds all others itself. */
  readonly credentials:
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
    | undefined;
  readonly profile: string | undefined;
  /** Half a set of keys in the environment: the SDK passes over it, and errors about credentials have to say so. */
  readonly halfSet: { readonly given: string; readonly missing: string } | undefined;
  /** Proxy variables, as they are. */
  readonly proxy: {
    readonly https: string | undefined;
    readonly http: string | undefined;
    readonly no: string | undefined;
  };
  /** A file with more certificate authorities, PEM (`AWS_CA_BUNDLE`). */
  readonly caBundle: string | undefined;
}

/** What the command line may set over the environment. */
export interface Flags {
  project?: string;
  verbose?: boolean;
}

export const ENV_FILE = '.env.claude-sandbox';

/** Variables that change what a package manager installs: they go into keys and must reach the installer alike. */
const INSTALL_VARIABLES = ['BUNDLE_WITHOUT', 'BUNDLE_ONLY', 'NODE_ENV', 'npm_config_omit'];
const CREDENTIAL_VARIABLES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
];

/**
 * @throws CacheError CONFIG_INVALID, naming the variable and what it takes.
 */
export function loadConfig(flags: Flags = {}, environment: NodeJS.ProcessEnv = process.env): Config {
  const real = withoutEmpty(environment);
  const projectDir = projectDirectory(flags);
  const file = readEnvFile(resolve(projectDir, ENV_FILE));
  const env: Variables = { ...file.values, ...real };

  return {
    projectDir,
    store: storeConfig(env, real, file.values, projectDir),
    prefix: keyPrefix(env['CACHE_S3_PREFIX'] ?? 'claude-sandbox-cache'),
    ...compression(env),
    verbose: boolean(env, 'CACHE_VERBOSE', false) || flags.verbose === true,
    debug: boolean(env, 'CACHE_DEBUG', false),
    timeoutMs: seconds(env, 'CACHE_TIMEOUT', 300),
    stallTimeoutMs: seconds(env, 'CACHE_STALL_TIMEOUT', 30),
    keyRuntime: boolean(env, 'CACHE_KEY_RUNTIME', true),
    keySalt: salt(env),
    readonly: boolean(env, 'CACHE_READONLY', false),
    signingKey: pem(env, 'CACHE_SIGNING_KEY', projectDir),
    verifyKey: pem(env, 'CACHE_VERIFY_KEY', projectDir),
    workers: integer(env, 'CACHE_WORKERS', { least: 1, most: 256 }),
    limits: {
      maxBytes: size(env, 'CACHE_MAX_BYTES', 64e9),
      maxFiles: integer(env, 'CACHE_MAX_FILES', { least: 1, most: 1e9 }) ?? 5_000_000,
      maxRatio: integer(env, 'CACHE_MAX_RATIO', { least: 1, most: 100_000 }) ?? 200,
      maxPathBytes: 4096,
    },
    env: childEnvironment(real, file.values),
    warnings: file.warnings,
  };
}

function projectDirectory({ project = '.' }: Flags): string {
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

/** `500MB`, `10GB`, `1GiB`, `1048576` → bytes; undefined when it is none of these. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(i)?b?|b)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const power = match[2] === undefined ? 0 : 'kmgt'.indexOf(match[2].toLowerCase()) + 1;
  return Math.round(Number(match[1]) * (match[3] === undefined ? 1000 : 1024) ** power);
}

/** `30d`, `12h`, `90m`, `45s`, `2w` → milliseconds; undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([smhdw])$/i.exec(text.trim());
  if (match === null) return undefined;
  const unit = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }[match[2]!.toLowerCase()]!;
  return Number(match[1]) * unit * 1000;
}

type Variables = Readonly<Record<string, string>>;

function withoutEmpty(environment: NodeJS.ProcessEnv): Variables {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== '',
    ),
  );
}

function readEnvFile(path: string): { values: Variables; warnings: Config['warnings'] } {
  let text: string;
  let mode: number;
  try {
    text = readFileSync(path, 'utf8');
    mode = statSync(path).mode;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR')
      return { values: {}, warnings: [] };
    throw invalid(
      `${path} cannot be read (${systemCode(error) ?? String(error)})`,
      'Make it readable, or remove it.',
      error,
    );
  }
  // Not imported above, where it would cost every start half a millisecond. Node 20's parser takes the comment line after an empty value for a name.
  const pairs = Object.entries(process.getBuiltinModule('node:util').parseEnv(text)).filter(([name]) =>
    /^[A-Za-z_]\w*$/.test(name),
  );
  const values = withoutEmpty(Object.fromEntries(pairs));
  const holdsSecret = Object.keys(values).some((name) => /SECRET|TOKEN|PASSWORD|SIGNING_KEY/.test(name));
  const exposed = holdsSecret && (mode & 0o077) !== 0;
  return {
    values,
    warnings: exposed
      ? [{ message: `${ENV_FILE} holds secrets and others may read it`, hint: `chmod 600 ${path}` }]
      : [],
  };
}

function storeConfig(env: Variables, real: Variables, file: Variables, projectDir: string): StoreConfig {
  // Checked where it has no effect as well: what is wrong now would be found out by whoever turns the store on.
  const maxSizeBytes = size(env, 'CACHE_LOCAL_MAX_SIZE', 10e9);
  const dir = env['CACHE_LOCAL_DIR'];
  const local = dir === undefined ? undefined : { dir: resolve(projectDir, dir), maxSizeBytes };
  const choices = s3Choices(env);
  const s3 = env['CACHE_S3_BUCKET'] === undefined ? undefined : s3Config(env, real, file, choices);
  if (s3 === undefined) return local === undefined ? { type: 'off' } : { type: 'local', local };
  return local === undefined ? { type: 's3', s3 } : { type: 'tiered', local, s3 };
}

type S3Choices = Pick<S3Config, 'forcePathStyle' | 'accelerate' | 'sse' | 'kmsKeyId'>;

function s3Choices(env: Variables): S3Choices {
  const forced = 'CACHE_S3_FORCE_PATH_STYLE' in env;
  return {
    forcePathStyle: forced ? boolean(env, 'CACHE_S3_FORCE_PATH_STYLE', true) : undefined,
    accelerate: boolean(env, 'CACHE_S3_ACCELERATE', false),
    sse: oneOf(env, 'CACHE_S3_SSE', ['AES256', 'aws:kms', 'aws:kms:dsse']),
    kmsKeyId: env['CACHE_S3_KMS_KEY_ID'],
  };
}

function s3Config(env: Variables, real: Variables, file: Variables, choices: S3Choices): S3Config {
  const bucket = env['CACHE_S3_BUCKET']!;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/.test(bucket)) {
    throw invalid(
      `CACHE_S3_BUCKET is "${bucket}", which is no bucket name`,
      bucket.startsWith('s3://')
        ? 'Give the name alone, without s3://; a path goes into CACHE_S3_PREFIX.'
        : 'It takes a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens.',
    );
  }
  // Credentials are one set: a key id from one place with a secret from another never makes a valid signature.
  const fromFile = !CREDENTIAL_VARIABLES.some((name) => name in real);
  return {
    bucket,
    region: region(env),
    endpoint: endpoint(env),
    ...choices,
    credentials: fromFile ? fileCredentials(file) : undefined,
    profile: (fromFile ? file : real)['AWS_PROFILE'],
    halfSet: halfSet(real),
    proxy: {
      https: env['HTTPS_PROXY'] ?? env['https_proxy'],
      http: env['HTTP_PROXY'] ?? env['http_proxy'],
      no: env['NO_PROXY'] ?? env['no_proxy'],
    },
    caBundle: env['AWS_CA_BUNDLE'],
  };
}

function region(env: Variables): string | undefined {
  const name = 'AWS_REGION' in env ? 'AWS_REGION' : 'AWS_DEFAULT_REGION';
  const text = env[name];
  if (text === undefined || /^[a-z0-9-]+$/i.test(text)) return text;
  throw invalid(`${name} is "${text}", which is no region`, 'It takes a name such as eu-central-1.');
}

function halfSet(real: Variables): S3Config['halfSet'] {
  // With a profile the SDK does not look at keys.
  if ('AWS_PROFILE' in real) return undefined;
  const keys = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];
  const given = [...keys, 'AWS_SESSION_TOKEN'].find((name) => name in real);
  const missing = keys.filter((name) => !(name in real)).join(' and ');
  return given === undefined || missing === '' ? undefined : { given, missing };
}

function fileCredentials(file: Variables): S3Config['credentials'] {
  const accessKeyId = file['AWS_ACCESS_KEY_ID'];
  const secretAccessKey = file['AWS_SECRET_ACCESS_KEY'];
  const sessionToken = file['AWS_SESSION_TOKEN'];
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined;
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    const missing = accessKeyId === undefined ? 'AWS_ACCESS_KEY_ID' : 'AWS_SECRET_ACCESS_KEY';
    throw invalid(
      `${ENV_FILE} has half a set of credentials: ${missing} is missing`,
      `Set ${missing} in ${ENV_FILE}, or take both out of it.`,
    );
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

function endpoint(env: Variables): string | undefined {
  const name = 'AWS_ENDPOINT_URL_S3' in env ? 'AWS_ENDPOINT_URL_S3' : 'AWS_ENDPOINT_URL';
  const text = env[name];
  if (text === undefined || boolean(env, 'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS', false)) return undefined;
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    const shown = text.replace(/^.*@/, '[redacted]@');
    throw invalid(
      `${name} is "${shown}", which is no URL`,
      `It takes a whole URL, e.g. ${name}=https://${shown.replace(/^.*(:\/\/|@)/, '')}`,
    );
  }
  return text;
}

function compression(env: Variables): { compression: Compression; level: number | undefined } {
  const text = env['CACHE_COMPRESSION']?.toLowerCase();
  const named = { gzip: 'gzip', zstd: 'zstd', none: 'none' } as const;
  if (text === 'gzip' || text === 'zstd' || text === 'none')
    return { compression: named[text], level: level(env, named[text]) };
  const value = text === undefined ? true : parseBoolean(text);
  if (value === undefined) {
    throw invalid(
      `CACHE_COMPRESSION is "${env['CACHE_COMPRESSION']}"`,
      'It takes true (gzip), false (no compression) or zstd.',
    );
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
    throw invalid('CACHE_KEY_SALT holds a line break', 'It takes any text of one line.');
  }
  return text;
}

/** PEM text, also with `\n` written out as secrets managers do, or a file's path. */
function pem(env: Variables, name: string, projectDir: string): string | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  if (text.includes('-----BEGIN')) return text.replaceAll('\\n', '\n');
  let key: string | undefined;
  try {
    key = readFileSync(resolve(projectDir, text), 'utf8');
  } catch {
    // Told below. The cause holds the value, which may be a key in a form not known here.
  }
  if (key?.includes('-----BEGIN') === true) return key;
  throw invalid(
    `${name} is neither a PEM key nor a readable file that holds one`,
    'sandbox-cache keygen makes a pair of keys.',
  );
}

function childEnvironment(real: Variables, file: Variables): Variables {
  const env: Record<string, string> = {};
  for (const name of INSTALL_VARIABLES) if (file[name] !== undefined) env[name] = file[name];
  Object.assign(env, real);
  delete env['CACHE_SIGNING_KEY'];
  return env;
}

function boolean(env: Variables, name: string, fallback: boolean): boolean {
  const text = env[name];
  if (text === undefined) return fallback;
  const value = parseBoolean(text);
  if (value === undefined) throw invalid(`${name} is "${text}"`, 'It takes true or false.');
  return value;
}

/** `true`, `1`, `yes`, `on` and their opposites; undefined when it is none of these. */
export function parseBoolean(text: string): boolean | undefined {
  if (/^(true|1|yes|on)$/i.test(text)) return true;
  if (/^(false|0|no|off)$/i.test(text)) return false;
  return undefined;
}

function integer(env: Variables, name: string, range: { least: number; most: number }): number | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= range.least && value <= range.most)) {
    throw invalid(`${name} is "${text}"`, `It takes a whole number from ${range.least} to ${range.most}.`);
  }
  return value;
}

function seconds(env: Variables, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined) return fallback * 1000;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  // setTimeout fires at once beyond 2^31 ms.
  if (!(value > 0 && value <= 86_400)) {
    throw invalid(`${name} is "${text}"`, 'It takes seconds: a number above 0, at most 86400 (a day).');
  }
  return Math.ceil(value * 1000);
}

function size(env: Variables, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined) return fallback;
  const value = parseSize(text);
  if (value === undefined || value <= 0)
    throw invalid(`${name} is "${text}"`, 'It takes a size, e.g. 500MB or 10GB.');
  return value;
}

function oneOf<T extends string>(env: Variables, name: string, values: readonly T[]): T | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  const value = values.find((candidate) => candidate === text);
  if (value === undefined) throw invalid(`${name} is "${text}"`, `It takes one of: ${values.join(', ')}.`);
  return value;
}

function invalid(message: string, hint: string, cause?: unknown): CacheError {
  return new CacheError('CONFIG_INVALID', message, { hint, cause });
}
