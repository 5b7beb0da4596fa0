import { type EnvFile, requireNoReference } from './env-file.ts';
import type { Variables } from './values.ts';

/**
 * The variables that give access to the store. An install script that could read them could put a poisoned
 * tree into everybody's cache. AWS_SECURITY_TOKEN is an old name of the session token; on ECS the URI alone
 * is enough to get credentials.
 */
const AWS_SECRETS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_SECURITY_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
];

/** Only this program uses them. */
const OWN_SECRETS = ['CACHE_SIGNING_KEY', 'CACHE_TICKET'];

export interface ChildEnvironment {
  env: Variables;
  /** The AWS variables that were taken out. */
  withheld: string[];
}

/**
 * The environment of installers and of recipes' commands: the real one, without the variables that give
 * access to the store or sign for it.
 */
export function childEnvironment(
  real: Variables,
  { withCredentials }: { withCredentials: boolean },
): ChildEnvironment {
  const env: Record<string, string> = { ...real };
  for (const name of OWN_SECRETS) delete env[name];
  const withheld = withCredentials ? [] : AWS_SECRETS.filter((name) => name in env);
  for (const name of withheld) delete env[name];
  return { env, withheld };
}

/**
 * The variables of the file that a recipe gets: those that it names, but never a secret.
 * @param patterns `NODE_ENV=production` and `NODE_ENV` name NODE_ENV, `BUNDLE_BUILD__*` all that begin so
 * @throws CacheError CONFIG_INVALID
 */
export function fileVariables(file: EnvFile, patterns: readonly string[]): Variables {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(file.values)) {
    if (OWN_SECRETS.includes(name) || AWS_SECRETS.includes(name)) continue;
    if (!patterns.some((pattern) => isNamed(name, pattern))) continue;
    requireNoReference(file, name);
    found[name] = value;
  }
  return found;
}

function isNamed(name: string, pattern: string): boolean {
  const wanted = pattern.replace(/=.*$/s, '');
  if (wanted.endsWith('*')) return name.startsWith(wanted.slice(0, -1));
  // npm also accepts its settings in capitals.
  return name === wanted || name === wanted.toUpperCase();
}
