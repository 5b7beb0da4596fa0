/**
 * The name of an entry: `<prefix>/<recipe>-<hash>-<runtime>.tar.gz`. docs/keys.md has the format and test
 * vectors. Nothing here reads files or the environment: digests, runtime and settings are arguments.
 */
import { createHash } from 'node:crypto';
import { CacheError } from './errors.ts';

/** What the hash of a key is made from. */
export interface KeyIngredients {
  /** The lockfiles: `path` relative to the project, `/`-separated; `sha256` of its bytes, 64 hex digits. */
  files: readonly { path: string; sha256: string }[];
  /** `CACHE_KEY_SALT`. */
  salt?: string | undefined;
  /** The environment variables that change what is installed, e.g. `{ BUNDLE_WITHOUT: 'test' }`. */
  variables: Readonly<Record<string, string>>;
}

export type KeyExtension = '.tar.gz' | '.tar.zst' | '.tar';

export interface KeyParts {
  /** Without slashes at either end, see `keyPrefix`. */
  prefix: string;
  recipe: string;
  /** 64 hex digits. The key holds the first 16. */
  digest: string;
  /** e.g. `linux-x64-node115`; empty or absent under `CACHE_KEY_RUNTIME=false`. */
  runtime?: string;
  extension: KeyExtension;
}

export interface ParsedKey {
  recipe: string;
  /** 16 hex digits. */
  hash: string;
  /** e.g. `linux-x64-musl-ruby3.1.0`; undefined where the key has none. */
  runtime: string | undefined;
  compression: 'gzip' | 'zstd' | 'none';
}

/** The hexadecimal digits of the digest that a key holds. */
export const HASH_DIGITS = 16;

/**
 * Allowed names of recipes. No part between dashes may be 16 hex digits, so that the first such part of a key
 * is always the hash.
 */
export const RECIPE_NAME = /^(?!(?:.*-)?[0-9a-f]{16}(?:-|$))[a-z0-9_]+(?:-[a-z0-9_]+)*$/;

const COMPRESSIONS = { '.tar.gz': 'gzip', '.tar.zst': 'zstd', '.tar': 'none' } as const;
const NAME =
  /^(?<recipe>.+?)-(?<hash>[0-9a-f]{16})(?:-(?<runtime>[A-Za-z0-9._-]+))?(?<extension>\.tar(?:\.gz|\.zst)?)$/;

/**
 * The SHA-256 whose beginning is the key's hash, 64 hex digits. It is the digest of the lockfile itself, as
 * `sha256sum` prints it, if there is one lockfile and nothing else; otherwise that of the lines of
 * `digestText`.
 */
export function keyDigest(ingredients: KeyIngredients): string {
  const text = digestText(ingredients);
  const [only] = ingredients.files;
  if (text === undefined && only !== undefined) return only.sha256;
  return createHash('sha256')
    .update(text ?? '')
    .digest('hex');
}

/**
 * The text that is hashed: `<sha256>  <path>` of each file, then `<NAME>=<value>` of each variable, both in
 * byte order.
 * @returns undefined for a single file and nothing else: its own digest counts.
 */
export function digestText({ files, salt, variables }: KeyIngredients): string | undefined {
  const values = Object.entries(variables);
  if (salt !== undefined && salt !== '') values.push(['CACHE_KEY_SALT', salt]);
  if (files.length === 1 && values.length === 0) return undefined;
  const lines = [
    ...[...files].sort((a, b) => byteOrder(a.path, b.path)).map(({ sha256, path }) => `${sha256}  ${path}\n`),
    ...values.map(([name, value]) => `${name}=${value}\n`).sort(byteOrder),
  ];
  return lines.join('');
}

/** The full key, e.g. `claude-sandbox-cache/bundle-3f1c9a0b7d2e4f65-linux-x64-ruby3.1.0.tar.gz`. */
export function entryKey({ prefix, recipe, digest, runtime, extension }: KeyParts): string {
  const hash = digest.slice(0, HASH_DIGITS);
  return `${prefix}/${recipe}-${hash}${runtime === undefined || runtime === '' ? '' : `-${runtime}`}${extension}`;
}

/**
 * Where the old shell library put the same entry, in a folder for the kind of packages, e.g.
 * `claude-sandbox-cache/ruby/bundle-3f1c9a0b7d2e4f65.tar.gz`.
 */
export function oldLibraryKey({ prefix, recipe, digest, extension }: Omit<KeyParts, 'runtime'>): string {
  return entryKey({ prefix: `${prefix}/${OLD_FOLDERS[recipe] ?? recipe}`, recipe, digest, extension });
}

const OLD_FOLDERS: Readonly<Record<string, string>> = {
  bundle: 'ruby',
  npm: 'node',
  pip: 'python',
  cargo: 'rust',
  gomod: 'go',
};

/**
 * Reads a full key back.
 * @returns undefined for anything that `entryKey` does not make under this prefix, such as other people's
 *   objects.
 */
export function parseKey(key: string, prefix: string): ParsedKey | undefined {
  if (!key.startsWith(`${prefix}/`)) return undefined;
  const found = NAME.exec(key.slice(prefix.length + 1))?.groups;
  const { recipe, hash, runtime, extension } = found ?? {};
  if (recipe === undefined || hash === undefined || !RECIPE_NAME.test(recipe)) return undefined;
  return { recipe, hash, runtime, compression: COMPRESSIONS[extension as KeyExtension] };
}

/**
 * `CACHE_S3_PREFIX` as keys use it: slashes at the ends are taken off.
 * @throws CacheError CONFIG_INVALID for an empty, `.` or `..` segment, control characters, or nothing at all.
 */
export function keyPrefix(text: string): string {
  const prefix = text.replace(/^\/+|\/+$/g, '');
  const wrong =
    prefix === ''
      ? 'is empty'
      : prefix.split('/').some((segment) => segment === '')
        ? 'holds an empty part ("//")'
        : prefix.split('/').some((segment) => segment === '.' || segment === '..')
          ? 'holds a "." or ".." part'
          : hasControlCharacter(prefix)
            ? 'holds a control character'
            : undefined;
  if (wrong === undefined) return prefix;
  throw new CacheError('CONFIG_INVALID', `CACHE_S3_PREFIX ${JSON.stringify(text)} ${wrong}`, {
    hint: 'Use names joined by "/", e.g. prod/claude-sandbox-cache.',
  });
}

/** Order of the UTF-8 bytes, which is the order of code points; plain `<` compares UTF-16 units. */
function byteOrder(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\u007f');
}
