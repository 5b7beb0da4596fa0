/** What a service supports, as a table to paste into an issue or a document. */
import type { Answer, Conditions, StoreFacts, Throughput } from '../../store/s3/probe/facts.ts';

/** Rows of three: the question, the answer, what sandbox-cache does then. */
export function storeMatrix(facts: StoreFacts): string[][] {
  if (facts.unusable !== undefined) return [];
  const { rights } = facts;
  return [
    ['list, read', `${may(rights.list)}, ${may(rights.get)}`, ''],
    ['write, in parts', `${may(rights.put)}, ${may(rights.multipart)}`, ''],
    ['delete, abort', `${may(rights.delete)}, ${may(rights.abort)}`, ''],
    ['`If-None-Match: *` on PutObject', told(facts.putIfAbsent, same), then(facts.putIfAbsent, PUT)],
    [
      '… on CompleteMultipartUpload',
      told(facts.completeIfAbsent, same),
      then(facts.completeIfAbsent, COMPLETE),
    ],
    ['eight writers at once', told(facts.raceWinners, winners), race(facts.raceWinners)],
    ['ranged read', told(facts.ranges, (yes) => (yes ? 'yes' : 'sends everything')), ranges(facts.ranges)],
    ['UploadPartCopy', told(facts.partCopy, (yes) => (yes ? 'yes' : 'no')), copies(facts.partCopy)],
    ['public access', told(facts.publicAccess, same), ''],
    ['default encryption', told(facts.encryption, (name) => name ?? 'none'), ''],
    ['versioning', told(facts.versioning, (status) => status ?? 'off'), ''],
    ['Object Lock', told(facts.objectLock, (on) => (on ? 'on' : 'off')), ''],
    ['one small request', told(facts.latencyMs, (ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`), ''],
    ['download, one connection / four', told(facts.download, speed), 'uses several'],
    ['upload, one connection / four', told(facts.upload, speed), 'uses four'],
  ];
}

function copies(answer: Answer<boolean>): string {
  if (answer.type !== 'known') return '';
  return answer.value ? 'a save sends only what the older entry lacks' : 'a save sends all of an entry';
}

const PUT: Readonly<Record<Conditions, string>> = {
  honoured: 'the first of two savers wins',
  ignored: 'the last of two savers wins; which of the two it was is looked at afterwards',
  refused: 'saves again without it, then looks whose entry is there',
};
const COMPLETE: Readonly<Record<Conditions, string>> = {
  honoured: 'the first of two savers wins',
  ignored: 'looks whether the key is taken before it completes, and whose entry is there afterwards',
  refused: PUT.refused,
};

function then(answer: Answer<Conditions>, table: Readonly<Record<Conditions, string>>): string {
  return answer.type === 'known' ? table[answer.value] : '';
}

function race(answer: Answer<number>): string {
  if (answer.type !== 'known') return '';
  return answer.value === 1 ? '' : 'savers at the same moment overwrite each other; what is there restores';
}

function ranges(answer: Answer<boolean>): string {
  if (answer.type !== 'known') return '';
  return answer.value ? 'reads several at a time' : 'reads with one connection';
}

function winners(count: number): string {
  return count === 1 ? 'one wins' : `${count} are told that they won`;
}

function may(answer: Answer<true>): string {
  return told(answer, () => 'yes');
}

function same<T extends string>(value: T): string {
  return value;
}

function speed({ one, four }: Throughput): string {
  return `${perSecond(one)} / ${perSecond(four)}`;
}

function perSecond(bytes: number): string {
  const mb = bytes / 1e6;
  return `${mb.toFixed(mb < 10 ? 1 : 0)} MB/s`;
}

function told<T>(answer: Answer<T>, say: (value: T) => string): string {
  switch (answer.type) {
    case 'known':
      return say(answer.value);
    case 'denied':
      return 'not allowed';
    case 'failed':
      return 'not offered';
    case 'untried':
      return 'not tried';
  }
}
