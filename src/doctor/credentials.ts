/** Which credentials will be used, whose they are, and until when. No value is shown. */
import type { S3Config } from '../config/s3.ts';
import type { Survey } from '../config/survey.ts';
import { type Finding, findingsOf } from './finding.ts';
import { ask, askSecretly } from './mend.ts';
import type { Patient } from './patient.ts';

const of = findingsOf('credentials');

/** Credentials that end sooner may end within one build. */
const SOON_MS = 15 * 60_000;

export async function checkCredentials({ survey }: Patient): Promise<Finding[]> {
  const { config } = survey;
  if (config === undefined || !('s3' in config.store)) return [];
  const { s3 } = config.store;
  const half = halfAPair(survey);
  if (half !== undefined) return [half];
  const source: Finding = { ...of('credentials', 'ok'), fact: sourceOf(survey, s3) };
  if (s3.ticket !== undefined) return [source];
  const { askIdentity } = await import('../store/s3/probe/identity.ts');
  const options = { ...s3, stallTimeoutMs: config.stallTimeoutMs, emit: () => {} };
  // Not from a file that a checkout brings along: it is signed with this machine's credentials.
  const identity = await askIdentity(options, survey.sources.real['AWS_ENDPOINT_URL_STS']);
  if (identity === undefined) return [source];
  const { arn, expires } = identity;
  return [
    source,
    ...(arn === undefined ? [] : [{ ...of('identity', 'ok'), fact: `They belong to ${arn}` }]),
    ...(expires === undefined ? [] : [expiry(survey, s3, expires)]),
  ];
}

/** The service has the last word on whether they are over, so it is a warning at most. */
function expiry({ sources: { real } }: Survey, { credentials, profile }: S3Config, expires: Date): Finding {
  const leftMs = expires.getTime() - Date.now();
  const minutes = Math.floor(Math.abs(leftMs) / 60_000);
  const when = leftMs < 0 ? `expired at ${expires.toISOString()}` : `expire at ${expires.toISOString()}`;
  const fact = `They ${when}, ${leftMs < 0 ? `${minutes} min ago` : `in ${minutes} min`}`;
  if (leftMs >= SOON_MS) return { ...of('expiry', 'ok'), fact };
  // Every other source renews them by itself.
  const areTyped = credentials === undefined && profile === undefined && 'AWS_ACCESS_KEY_ID' in real;
  if (!areTyped) return { ...of('expiry', leftMs < 0 ? 'warning' : 'ok'), fact };
  const [id, secret] = PAIR;
  const mend = `${ask(id!)} && ${askSecretly(secret!)} && ${askSecretly('AWS_SESSION_TOKEN')} && unset AWS_CREDENTIAL_EXPIRATION`;
  return { ...of('expiry', 'warning'), fact, mend };
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
