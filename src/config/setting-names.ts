import { editDistance } from '../text/edit-distance.ts';
import { placeInFile, type Sources } from './sources.ts';

/** The names of all our settings. A test compares the list with the sources and the example file. */
export const SETTINGS: readonly string[] = [
  'CACHE_COMPRESSION',
  'CACHE_COMPRESSION_LEVEL',
  'CACHE_DEBUG',
  'CACHE_DELTA',
  'CACHE_FALLBACK',
  'CACHE_INSTALL_CREDENTIALS',
  'CACHE_KEEP_TIMES',
  'CACHE_KEY_RUNTIME',
  'CACHE_KEY_SALT',
  'CACHE_LOCAL_DIR',
  'CACHE_LOCAL_MAX_SIZE',
  'CACHE_MAX_BYTES',
  'CACHE_MAX_FILES',
  'CACHE_MAX_RATIO',
  'CACHE_READONLY',
  'CACHE_S3_ACCELERATE',
  'CACHE_S3_BUCKET',
  'CACHE_S3_FORCE_PATH_STYLE',
  'CACHE_S3_KMS_KEY_ID',
  'CACHE_S3_PREFIX',
  'CACHE_S3_SSE',
  'CACHE_SIGNING_KEY',
  'CACHE_STALL_TIMEOUT',
  'CACHE_TICKET',
  'CACHE_TIMEOUT',
  'CACHE_TRUST_ENV_FILE',
  'CACHE_VERBOSE',
  'CACHE_VERIFY_KEY',
  'CACHE_WORKERS',
];

/** How many letters may differ between a name and the one that was meant. */
const NEAR = 2;
/** `CAHCE_`, `CASHE_`, `cache_`; the variables of ccache only happen to be similar. */
const LOOKS_LIKE_OURS = /^(?!CCACHE_)C[ACEHS]{2,6}_/i;

/** A name that has no effect and probably should. */
export interface UnknownName {
  readonly name: string;
  readonly from: 'environment' | 'file';
  /** The setting that was probably meant, if one is similar. */
  readonly meant: string | undefined;
}

/**
 * Finds every unknown name in the file that looks like ours. In the environment other programs may use CACHE_
 * too, so there only names count that are similar to one of ours.
 */
export function unknownNames({ real, file }: Sources): UnknownName[] {
  const unknown = (names: readonly string[], from: UnknownName['from']): UnknownName[] =>
    names
      .filter((name) => LOOKS_LIKE_OURS.test(name) && !SETTINGS.includes(name))
      .map((name) => ({ name, from, meant: nearest(name) }));
  return [
    ...unknown(Object.keys(file.lines), 'file'),
    ...unknown(Object.keys(real), 'environment').filter(({ meant }) => meant !== undefined),
  ];
}

/** @returns one warning about all unknown names */
export function misspelt(sources: Sources): { message: string; hint: string } | undefined {
  const all = unknownNames(sources).map((unknown) => describeUnknown(sources, unknown));
  if (all.length === 0) return undefined;
  return { message: all.join('; '), hint: 'It has no effect; .env.claude-sandbox.example lists every name.' };
}

/** `CACHE_REDONLY (.env.claude-sandbox line 3) is no setting, did you mean CACHE_READONLY?` */
export function describeUnknown(sources: Sources, { name, from, meant }: UnknownName): string {
  const where = from === 'file' ? ` (${placeInFile(sources, name)})` : '';
  return `${name}${where} is no setting${meant === undefined ? '' : `, did you mean ${meant}?`}`;
}

function nearest(name: string): string | undefined {
  const upper = name.toUpperCase();
  const found = SETTINGS.map((setting) => ({ setting, distance: editDistance(upper, setting) })).sort(
    (a, b) => a.distance - b.distance,
  )[0];
  return found !== undefined && found.distance <= NEAR ? found.setting : undefined;
}
