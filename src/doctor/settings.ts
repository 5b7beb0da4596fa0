/** The settings: what is set and where, what is invalid, and unknown names. */
import { effectiveSettings } from '../config/effective.ts';
import { describeUnknown, unknownNames } from '../config/setting-names.ts';
import type { ConfigProblem, Survey } from '../config/survey.ts';
import { type Finding, findingsOf } from './finding.ts';
import { PAIR } from './credentials.ts';
import { askIntoFile, pathWord, rename, set, unset } from './mend.ts';
import type { Patient } from './patient.ts';

const of = findingsOf('settings');

export function checkSettings({ survey }: Patient): Finding[] {
  return [
    ...given(survey),
    ...problems(survey),
    ...unknown(survey),
    ...withoutEffect(survey),
    ...store(survey),
  ];
}

/** The settings that are set. */
function given(survey: Survey): Finding[] {
  return effectiveSettings(survey)
    .filter(({ source, problem }) => source !== 'default' && problem === undefined)
    .map(({ name, value, source, line }) => ({
      ...of(`setting-${kebab(name)}`, 'ok'),
      fact: `${name} is ${value} (${line === undefined ? source : `${source}, line ${line}`})`,
    }));
}

function problems(survey: Survey): Finding[] {
  return survey.problems.map((problem) => {
    const { error, setting } = problem;
    const mend = mendOf(survey, problem);
    return {
      ...of(setting === undefined ? 'settings-file' : `setting-${kebab(setting)}`, 'failure'),
      fact: error.hint === undefined ? error.message : `${error.message}. ${error.hint}`,
      ...(mend === undefined ? {} : { mend }),
    };
  });
}

function mendOf(survey: Survey, { setting, from }: ConfigProblem): string | undefined {
  if (setting === undefined) return `\${EDITOR:-vi} ${pathWord(survey.envPath)}`;
  const values = from === 'file' ? survey.sources.file.values : survey.sources.real;
  const [, bucket, path = ''] = /^s3:\/\/([^/]+)\/*(.*?)\/*$/.exec(values[setting] ?? '') ?? [];
  if (setting === 'CACHE_S3_BUCKET' && bucket !== undefined) {
    const named = set(survey, setting, bucket);
    return path === '' ? named : `${named} && ${set(survey, 'CACHE_S3_PREFIX', path)}`;
  }
  const missing = PAIR.find((name) => name !== setting);
  if (from === 'file' && PAIR.includes(setting) && missing !== undefined && !(missing in values))
    return askIntoFile(survey, missing);
  return unset(survey, setting, from);
}

function unknown(survey: Survey): Finding[] {
  return unknownNames(survey.sources).map((unknown) => {
    const { name, meant, from } = unknown;
    return {
      ...of(`unknown-${kebab(name)}`, 'warning'),
      fact: describeUnknown(survey.sources, unknown),
      mend: meant === undefined ? unset(survey, name, from) : rename(survey, { name, from, to: meant }),
    };
  });
}

function withoutEffect(survey: Survey): Finding[] {
  if (!('CACHE_TRUST_ENV_FILE' in survey.sources.file.values)) return [];
  return [
    {
      ...of('trust-in-file', 'warning'),
      fact: 'CACHE_TRUST_ENV_FILE has no effect in the file: a file cannot vouch for itself',
      mend: unset(survey, 'CACHE_TRUST_ENV_FILE', 'file'),
    },
  ];
}

/** Whether there is a store at all. */
function store(survey: Survey): Finding[] {
  const { config, problems } = survey;
  if (config?.store.type !== 'off') return [];
  if (problems.some(({ setting }) => setting === undefined || setting === 'CACHE_S3_BUCKET')) return [];
  return [
    {
      ...of('store-missing', 'failure'),
      fact: 'Caching is off: neither CACHE_S3_BUCKET nor CACHE_LOCAL_DIR is set (`sandbox-cache setup` makes a bucket)',
      mend: `read -r BUCKET && echo "CACHE_S3_BUCKET=$BUCKET" >> ${pathWord(survey.envPath)}`,
    },
  ];
}

/** `CACHE_S3_BUCKET` → `cache-s3-bucket` */
function kebab(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
