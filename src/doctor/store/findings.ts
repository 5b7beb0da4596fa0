/** What the facts of a probe mean for the cache. Every sentence says what sandbox-cache does in that case. */
import type { S3Config } from '../../config/s3.ts';
import type { Answer, Right, StoreFacts } from '../../store/s3/probe/facts.ts';
import type { Finding, Mark, Section } from '../finding.ts';
import { counted } from '../../text/counted.ts';
import { mendFor, setClock } from './mends.ts';

/** AWS refuses signatures whose time differs more from its own clock. */
const MAX_SKEW_MS = 15 * 60_000;
const TELLS_SKEW_MS = 5 * 60_000;

/** @returns at least one finding */
export function storeFindings(facts: StoreFacts, s3: S3Config): Finding[] {
  const { unusable } = facts;
  if (unusable !== undefined) {
    const hint = unusable.hint === undefined ? '' : `. ${unusable.hint}`;
    const fact = `${unusable.message}${hint} [${unusable.code}]`;
    const id = `store-${unusable.code
      .replace(/^STORE_/, '')
      .toLowerCase()
      .replaceAll('_', '-')}`;
    return [finding('connection', id, 'failure', fact, mendFor(unusable, s3, facts.clockAheadMs))];
  }
  return [
    finding('connection', 'store-reached', 'ok', `s3://${facts.bucket} answers at ${facts.place}`),
    ...region(facts, s3),
    ...clock(facts),
    ...rights(facts, s3),
    ...bucket(facts),
    ...facts.left.map((url) =>
      finding('store', 'probe-left', 'warning', `${url} could not be removed again`, `aws s3 rm ${url}`),
    ),
  ];
}

function region({ askedRegion, region, bucket }: StoreFacts, s3: S3Config): Finding[] {
  if (askedRegion === undefined) return [];
  const fact = `Bucket ${bucket} is in ${region}, not in ${askedRegion}: every run asks twice`;
  return [
    finding('connection', 'region', 'warning', fact, `export ${s3.names.region ?? 'AWS_REGION'}=${region}`),
  ];
}

function clock({ clockAheadMs }: StoreFacts): Finding[] {
  const off = Math.abs(clockAheadMs);
  if (off < TELLS_SKEW_MS) return [finding('connection', 'clock', 'ok', 'The clock agrees with the service')];
  const minutes = Math.round(off / 60_000);
  const fact = `The clock of this machine is ${minutes} min ${clockAheadMs > 0 ? 'behind' : 'ahead of'} that of the service`;
  const then =
    off < MAX_SKEW_MS
      ? '; from 15 min on signatures are refused'
      : ': every first request is refused, and signed anew';
  return [finding('connection', 'clock', 'warning', fact + then, setClock(clockAheadMs))];
}

/** The consequences of each missing right. */
const WITHOUT: Readonly<Record<Right, [Mark, string]>> = {
  list: [
    'warning',
    'a missing entry looks forbidden: restore takes it for a miss with a warning; list and prune do not work',
  ],
  get: ['failure', 'nothing is restored'],
  put: ['failure', 'nothing is saved; set CACHE_READONLY=true where that is meant'],
  delete: ['warning', 'prune does not work; a lifecycle rule can delete old entries'],
  multipart: ['failure', 'entries of more than 8 MiB are not saved'],
  abort: [
    'warning',
    'an upload that is interrupted stays, and is paid for, until a lifecycle rule removes it',
  ],
};

function rights(facts: StoreFacts, s3: S3Config): Finding[] {
  return Object.entries(facts.rights).flatMap(([name, answer]) => {
    const right = name as Right;
    const id = `right-${right}`;
    if (answer.type === 'known') return [finding('store', id, 'ok', `May ${VERBS[right]}`)];
    if (answer.type === 'untried') return [];
    const [mark, then] = WITHOUT[right];
    return [
      finding('store', id, mark, `${answer.error.message}: ${then}`, mendRight(right, answer, facts, s3)),
    ];
  });
}

const VERBS: Readonly<Record<Right, string>> = {
  list: 'list entries',
  get: 'read entries',
  put: 'write entries',
  delete: 'delete entries',
  multipart: 'upload in parts',
  abort: 'abort uploads',
};

function mendRight(
  right: Right,
  answer: Answer<true> & { type: 'denied' | 'failed' },
  { publicAccess, custom, bucket }: StoreFacts,
  s3: S3Config,
): string | undefined {
  const isBlocked = publicAccess.type === 'known' && publicAccess.value !== 'not blocked';
  // Ceph RGW treats every write as one that sets an ACL.
  if (custom && isBlocked && (right === 'put' || right === 'multipart'))
    return `aws s3api delete-public-access-block --bucket ${bucket} --endpoint-url ${s3.endpoint}`;
  return answer.error.hint;
}

function bucket(facts: StoreFacts): Finding[] {
  const { publicAccess, encryption, versioning, objectLock, lifecycle, notifications, custom } = facts;
  const findings: Finding[] = [];
  const add = (id: string, mark: Mark, fact: string, mend?: string): void =>
    void findings.push(finding('store', id, mark, fact, mend));
  if (publicAccess.type === 'known') {
    const mark = publicAccess.value === 'blocked' || custom ? 'ok' : 'warning';
    const mend = `aws s3api put-public-access-block --bucket ${facts.bucket} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`;
    add('public-access', mark, `Public access is ${publicAccess.value}`, mark === 'ok' ? undefined : mend);
  }
  if (encryption.type === 'known')
    add('encryption', 'ok', `New objects are encrypted by default: ${encryption.value ?? 'no'}`);
  if (versioning.type === 'known' && versioning.value === 'Enabled')
    add(
      'versioning',
      'warning',
      'Versions are kept: entries that are deleted stay, and are paid for, until a lifecycle rule expires noncurrent versions',
    );
  if (objectLock.type === 'known' && objectLock.value)
    add(
      'object-lock',
      'warning',
      'Object Lock keeps entries: nothing can be replaced or deleted before its time',
    );
  if (lifecycle.type === 'known') {
    const { expiresAfterDays: days, abortsUploadsAfterDays: uploads, movesTo } = lifecycle.value;
    const none = 'sandbox-cache setup';
    if (days === undefined)
      add(
        'lifecycle-entries',
        'warning',
        'No lifecycle rule deletes old entries: they stay until prune',
        none,
      );
    else add('lifecycle-entries', 'ok', `Entries are deleted after ${counted(days, 'day')}`);
    if (uploads === undefined)
      add('lifecycle-uploads', 'warning', 'No lifecycle rule removes abandoned uploads', none);
    else add('lifecycle-uploads', 'ok', `Abandoned uploads are removed after ${counted(uploads, 'day')}`);
    const terms = MINIMUM_TERMS.test(movesTo.join(' '));
    if (terms)
      add(
        'lifecycle-moves',
        'warning',
        `A lifecycle rule moves entries to ${movesTo.join(', ')}: those have a minimum term, or cannot be read at once`,
      );
  }
  if (notifications.type === 'known' && notifications.value.length > 0)
    add(
      'notifications',
      'warning',
      `Every entry that is saved is announced to ${notifications.value.join(', ')}; so was each object of this probe`,
    );
  const terms = minimumTerms(facts);
  if (terms !== undefined) add('minimum-term', 'warning', terms);
  return findings;
}

const MINIMUM_TERMS = /_IA\b|GLACIER|DEEP_ARCHIVE/;

function minimumTerms({ place, storageClasses }: StoreFacts): string | undefined {
  const dear = storageClasses.filter((name) => MINIMUM_TERMS.test(name));
  if (dear.length > 0)
    return `Entries are stored as ${dear.join(', ')}: each is paid for 30 days at least, 90 or 180 in an archive`;
  if (/\bwasabisys\.com/.test(place))
    return 'Wasabi bills 90 days at least for every object, also for one that is deleted';
  return undefined;
}

function finding(section: Section, id: string, mark: Mark, fact: string, mend?: string): Finding {
  return { id, section, mark, fact, ...(mend === undefined ? {} : { mend }) };
}
