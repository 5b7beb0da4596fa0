import { expect, it } from 'vitest';
import { mergedRules, wantedRule } from '../../../../src/store/s3/setup/lifecycle.ts';
import type { Wanted } from '../../../../src/store/s3/setup/wanted.ts';

const wanted: Wanted = {
  bucket: 'b',
  prefix: 'cache',
  expireDays: 30,
  abortDays: 1,
  tiering: true,
  blockPublic: true,
  encryption: { algorithm: 'AES256', key: undefined, isAsked: false },
  accelerate: false,
  logBucket: undefined,
};
const rule = wantedRule(wanted);
const theirs = { ID: 'theirs', Status: 'Enabled', Filter: { Prefix: '' } } as const;

it('a rule that is there is found again, whatever else the service lists with it', () => {
  const listed = {
    ...rule,
    NoncurrentVersionTransitions: [],
    Transitions: [{ StorageClass: 'INTELLIGENT_TIERING' as const }],
  };
  expect(mergedRules([theirs, listed], rule)).toBeUndefined();
});

it.each([
  { expireDays: 31 },
  { expireDays: undefined },
  { abortDays: 2 },
  { tiering: false },
] satisfies Partial<Wanted>[])('another one takes its place: %j', (change) => {
  const other = wantedRule({ ...wanted, ...change });
  expect(mergedRules([rule, theirs], other)).toEqual([theirs, other]);
});

it('each prefix has its own, and a rule that is switched off is switched on', () => {
  const other = wantedRule({ ...wanted, prefix: 'team' });
  expect(mergedRules([rule], other)).toEqual([rule, other]);
  expect(mergedRules([{ ...rule, Status: 'Disabled' }], rule)).toEqual([rule]);
});
