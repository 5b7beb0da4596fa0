/** The settings as they take effect, each with its source. Secrets are masked. */
import { redact } from '../errors.ts';
import type { Config } from './config.ts';
import { ALIASES } from './s3.ts';
import { SETTINGS } from './setting-names.ts';
import type { ConfigProblem, Survey } from './survey.ts';

export interface EffectiveSetting {
  readonly name: string;
  /** As it takes effect, masked where it is secret; `-` where nothing is set and there is no default. */
  readonly value: string;
  /** `profile`: from the AWS configuration files. */
  readonly source: 'flag' | 'environment' | 'file' | 'profile' | 'default';
  /** Line in the file, from 1. */
  readonly line?: number;
  /** Why it cannot be used. */
  readonly problem?: string;
}

/** The settings that were read from the AWS configuration files. */
export interface ProfileSettings {
  readonly region?: string;
  readonly endpoint?: string;
}

/** Variables of other programs that have an effect here. */
const OTHERS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
  'AWS_CA_BUNDLE',
  'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS',
  ...ALIASES.region,
  ...ALIASES.endpoint,
  ...ALIASES.proxy,
  ...ALIASES.noProxy,
];

/** Those that have a row only if they are set. */
const ONLY_WHERE_SET = new Set(
  OTHERS.filter((name) => name !== 'AWS_REGION' && name !== 'AWS_ENDPOINT_URL_S3'),
);

/** Every setting in alphabetical order: ours, and those of other programs that have an effect here. */
export function effectiveSettings(survey: Survey, profile: ProfileSettings = {}): EffectiveSetting[] {
  const rows = [...SETTINGS, ...OTHERS].map((name) => rowOf(survey, name, profile));
  return rows.filter((row) => row !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function rowOf(survey: Survey, name: string, profile: ProfileSettings): EffectiveSetting | undefined {
  const { flags, sources, problems, config } = survey;
  const problem = problems.find(({ setting }) => setting === name);
  const given = problem === undefined ? undefined : problemRow(survey, name, problem);
  if (given !== undefined) return given;
  if (name === 'CACHE_VERBOSE' && flags.verbose === true) return { name, value: 'true', source: 'flag' };
  const { real, file } = sources;
  if (name in real) return { name, value: shown(name, real[name]!, config), source: 'environment' };
  const text = file.values[name];
  if (text !== undefined)
    return { name, value: shown(name, text, config), source: 'file', line: file.lines[name]! };
  const ofProfile = { AWS_REGION: profile.region, AWS_ENDPOINT_URL_S3: profile.endpoint }[name];
  if (ofProfile !== undefined && !isAliased(survey, name))
    return { name, value: redact(ofProfile), source: 'profile' };
  if (ONLY_WHERE_SET.has(name) || isAliased(survey, name)) return undefined;
  return { name, value: (config && EFFECTIVE[name]?.(config)) ?? '-', source: 'default' };
}

function problemRow({ sources }: Survey, name: string, problem: ConfigProblem): EffectiveSetting {
  const { from, error } = problem;
  const text = (from === 'file' ? sources.file.values : sources.real)[name] ?? '';
  const line = from === 'file' ? sources.file.lines[name] : undefined;
  return {
    name,
    value: shown(name, text, undefined),
    source: from,
    ...(line === undefined ? {} : { line }),
    problem: error.message,
  };
}

/** Whether another name for the same thing is set. */
function isAliased({ sources: { real, file } }: Survey, name: string): boolean {
  const aliases = Object.values(ALIASES).find((names: readonly string[]) => names.includes(name)) ?? [];
  return aliases.some((other) => other !== name && (other in real || other in file.values));
}

/** Names whose values are never shown. */
const SECRET = /SECRET|TOKEN$|PASSWORD|TICKET/;
/** How many characters of a key's id are shown: enough to tell two apart. */
const ID_TAIL = 4;

function shown(name: string, text: string, config: Config | undefined): string {
  if (SECRET.test(name)) return '****';
  if (name === 'AWS_ACCESS_KEY_ID') return text.length < 16 ? '****' : `****${text.slice(-ID_TAIL)}`;
  // A path is shown, a key is not. Anything else may be a key that was cut off.
  if (name === 'CACHE_SIGNING_KEY' && !/^[\w./~-]{1,200}$/.test(text)) return '****';
  if (text.includes('-----BEGIN')) return 'a key in PEM';
  return redact((config && EFFECTIVE[name]?.(config)) ?? text);
}

/** The effective value of each setting, as one would write it in the variable. */
const EFFECTIVE: Readonly<Record<string, (config: Config) => string | undefined>> = {
  AWS_REGION: ({ store }) => ('s3' in store ? (store.s3.region ?? 'us-east-1') : undefined),
  CACHE_COMPRESSION: ({ compression }) => compression,
  CACHE_COMPRESSION_LEVEL: ({ level }) => (level === undefined ? 'automatic' : String(level)),
  CACHE_DEBUG: ({ debug }) => String(debug),
  CACHE_DELTA: ({ delta }) => String(delta),
  CACHE_FALLBACK: ({ fallback }) => String(fallback),
  CACHE_KEEP_TIMES: ({ keepTimes }) => String(keepTimes),
  CACHE_KEY_RUNTIME: ({ keyRuntime }) => String(keyRuntime),
  CACHE_LOCAL_DIR: ({ store }) => ('local' in store ? store.local.dir : undefined),
  CACHE_LOCAL_MAX_SIZE: ({ store }) => ('local' in store ? bytes(store.local.maxSizeBytes) : undefined),
  CACHE_MAX_BYTES: ({ limits }) => bytes(limits.maxBytes),
  CACHE_MAX_FILES: ({ limits }) => String(limits.maxFiles),
  CACHE_MAX_RATIO: ({ limits }) => String(limits.maxRatio),
  CACHE_READONLY: ({ readonly }) => String(readonly),
  CACHE_S3_ACCELERATE: ({ store }) => ('s3' in store ? String(store.s3.accelerate) : undefined),
  CACHE_S3_FORCE_PATH_STYLE: ({ store }) =>
    's3' in store ? String(store.s3.forcePathStyle ?? 'automatic') : undefined,
  CACHE_S3_PREFIX: ({ prefix }) => prefix,
  CACHE_STALL_TIMEOUT: ({ stallTimeoutMs }) => String(stallTimeoutMs / 1000),
  CACHE_TIMEOUT: ({ timeoutMs }) => String(timeoutMs / 1000),
  CACHE_VERBOSE: ({ verbose }) => String(verbose),
  CACHE_WORKERS: ({ workers }) => (workers === undefined ? 'automatic' : String(workers)),
};

/** `10GB`, `1500B` */
function bytes(count: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ];
  const [unit, size] = units.find(([, one]) => count % one === 0) ?? ['B', 1];
  return `${count / size}${unit}`;
}
