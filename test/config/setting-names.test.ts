import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/setting-names.ts';
import { useProject } from './loading.ts';

const { load } = useProject();

function warning(env: Record<string, string>, file?: string): string | undefined {
  const [first, ...more] = load(env, file).warnings;
  expect(more).toEqual([]);
  return first?.message;
}

it('every unknown name of the file gets one warning, with the name that was meant', () => {
  expect(warning({}, 'CACHE_S3_BUKET=x\n\nCACHE_COLOUR=red\nCACHE_VERBOSE=true\nOTHER=1\n')).toBe(
    'CACHE_S3_BUKET (.env.claude-sandbox line 1) is no setting, did you mean CACHE_S3_BUCKET?; ' +
      'CACHE_COLOUR (.env.claude-sandbox line 3) is no setting',
  );
  expect(warning({}, 'CACHE_S3_BUKET=\n')).toContain('did you mean CACHE_S3_BUCKET?');
});

it.each([
  ['CACHE_S3_BUKET', 'CACHE_S3_BUCKET'],
  ['CAHCE_S3_BUCKET', 'CACHE_S3_BUCKET'],
  ['CACHE_READ_ONLY', 'CACHE_READONLY'],
  ['cache_local_dir', 'CACHE_LOCAL_DIR'],
])('%s in the environment is near to %s', (name, meant) => {
  expect(warning({ [name]: 'x' })).toBe(`${name} is no setting, did you mean ${meant}?`);
});

it.each(['CACHE_URL', 'CACHE_DIR', 'CACHE_TTL', 'CACHE_STORE', 'CCACHE_READONLY', 'RAILS_CACHE_ID', 'CI'])(
  '%s is another program’s',
  (name) => {
    expect(warning({ [name]: 'x' })).toBeUndefined();
  },
);

it('knows every name that configuration reads and that the example file has', () => {
  const root = new URL('../..', import.meta.url).pathname;
  const sources = readdirSync(`${root}/src/config`).filter((name) => name !== 'setting-names.ts');
  const texts = [...sources.map((name) => `src/config/${name}`), '.env.claude-sandbox.example'].map((path) =>
    readFileSync(`${root}/${path}`, 'utf8'),
  );
  const named = texts.flatMap((text) => text.match(/\bCACHE_[A-Z0-9]+(?:_[A-Z0-9]+)*\b/g) ?? []);
  expect([...new Set(named)].sort()).toEqual([...SETTINGS].sort());
});
