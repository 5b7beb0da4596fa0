/** Which credentials will be used. Nothing is sent, and no value is shown. */
import type { S3Config } from '../config/s3.ts';
import type { Survey } from '../config/survey.ts';
import { type Finding, findingsOf } from './finding.ts';
import { askSecretly } from './mend.ts';
import type { Patient } from './patient.ts';

const of = findingsOf('credentials');

export function checkCredentials({ survey }: Patient): Finding[] {
  const { config } = survey;
  if (config === undefined || !('s3' in config.store)) return [];
  return [halfAPair(survey) ?? { ...of('credentials', 'ok'), fact: sourceOf(survey, config.store.s3) }];
}

export const PAIR: readonly string[] = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];

/** The SDK ignores half a pair and goes on to other sources, so the error would be about those. */
function halfAPair({ sources: { real } }: Survey): Finding | undefined {
  const [given, ...more] = PAIR.filter((name) => name in real);
  if (given === undefined || more.length > 0) return undefined;
  const missing = PAIR.find((name) => name !== given)!;
  return {
    ...of('half-a-pair', 'failure'),
    fact: `${given} is set in the environment and ${missing} is not: half a pair is passed over`,
    mend: askSecretly(missing),
  };
}

/** In the SDK's order: the first source that is set up counts. */
function sourceOf({ sources: { real } }: Survey, { ticket, credentials, profile }: S3Config): string {
  if (ticket !== undefined) return 'CACHE_TICKET takes the place of credentials';
  if (credentials !== undefined) return 'Credentials are the access key of .env.claude-sandbox';
  if (profile !== undefined) return `Credentials come from the profile ${profile}`;
  if ('AWS_ACCESS_KEY_ID' in real)
    return `Credentials are the access key of the environment${'AWS_SESSION_TOKEN' in real ? ', with a session token' : ''}`;
  if ('AWS_WEB_IDENTITY_TOKEN_FILE' in real) return 'Credentials come from a web identity token (IRSA)';
  if ('AWS_CONTAINER_CREDENTIALS_FULL_URI' in real || 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI' in real)
    return 'Credentials come from the container service (Pod Identity, ECS)';
  return 'No credentials are set: the default profile is used, or else the role of this machine';
}
