import { expect, it } from 'vitest';
import { recipeEnvironment } from '../../src/config/config.ts';
import { useProject } from './loading.ts';

const { load } = useProject();

it('takes from the file what the recipe names, below the real environment', () => {
  const config = load(
    { PATH: '/bin', PIP_INDEX: 'real' },
    'NODE_ENV=production\nNPM_CONFIG_OMIT=dev\nPIP_INDEX=file\nPIP_EXTRAS=x\nBUILD__A=1\nOTHER=1\n',
  );
  const keyVariables = ['NODE_ENV=production', 'npm_config_omit', 'PIP_INDEX', 'PIP_EXTRAS', 'BUILD__*'];
  expect(recipeEnvironment(config, { keyVariables })).toEqual({
    PATH: '/bin',
    NODE_ENV: 'production',
    NPM_CONFIG_OMIT: 'dev',
    PIP_INDEX: 'real',
    PIP_EXTRAS: 'x',
    BUILD__A: '1',
  });
});

it('never takes a secret from the file', () => {
  const config = load({}, 'AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=y\nCACHE_SIGNING_KEY=-----BEGIN\n');
  const keyVariables = ['AWS_SECRET_ACCESS_KEY', 'CACHE_SIGNING_KEY'];
  expect(recipeEnvironment(config, { keyVariables })).toEqual({});
});

it('refuses a value that Compose would put together from others', () => {
  const config = load({}, '\nDB_PASSWORD=pa$word\nPIP_INDEX=$OTHER\n');
  expect(() => recipeEnvironment(config, { keyVariables: ['PIP_INDEX'] })).toThrow(
    '.env.claude-sandbox line 3: PIP_INDEX refers to another variable',
  );
});
