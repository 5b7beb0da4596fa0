/** Whether the keys for signatures can be read and form a pair. */
import { CacheError } from '../errors.ts';
import { checker, signer } from '../session/signing.ts';
import { failed } from './failed.ts';
import type { Finding } from './finding.ts';
import { unset } from './mend.ts';
import type { Patient } from './patient.ts';

export async function checkSigning({ survey, session }: Patient): Promise<Finding[]> {
  const { signingKey, verifyKey } = session?.config ?? {};
  if (session === undefined || (signingKey ?? verifyKey) === undefined) return [];
  try {
    await checker(session.config);
    await signer(session.config);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    const name = signingKey === undefined ? 'CACHE_VERIFY_KEY' : 'CACHE_SIGNING_KEY';
    const from = name in survey.sources.real ? 'environment' : 'file';
    return [{ ...failed('settings', error), id: 'signing-keys', mend: unset(survey, name, from) }];
  }
  const both = signingKey !== undefined && verifyKey !== undefined;
  const fact = both
    ? 'CACHE_SIGNING_KEY and CACHE_VERIFY_KEY are a pair'
    : 'The key for signatures can be read';
  return [{ id: 'signing-keys', section: 'settings', mark: 'ok', fact }];
}
