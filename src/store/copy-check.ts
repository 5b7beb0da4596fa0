/**
 * Hands on a copy's bytes while the far store is asked about the original. If the copy proves stale, it fails
 * at the next chunk. Its end waits for the answer, so nobody takes a stale copy for a whole entry.
 */
import { CacheError } from '../errors.ts';
import { linkAbort, withinTime } from '../async/abort.ts';
import { isCopyOf, type Origin } from './origin.ts';
import type { EntryInfo, StoreOptions } from './store.ts';

export interface CopyCheck {
  origin: Origin & { size: number };
  original: { url: string; stat: (options: StoreOptions) => Promise<EntryInfo | undefined> };
  signal: AbortSignal;
  /** Called before the end of the body if the copy is up to date, with the original. */
  onSame: (found: EntryInfo) => void;
  /** Called if the copy is stale, before the body fails with STORE_REPLACED. */
  onStale: () => Promise<void>;
  /** Called before the end of the body if no answer has come. */
  onUnknown: (reason: string) => void;
}

/** How long the end of a copy waits for the answer about its original. */
const PATIENCE_MS = 2000;

type LookupResult = { found: EntryInfo | undefined } | { failed: string };

export function checkCopy(body: AsyncIterable<Uint8Array>, check: CopyCheck): AsyncIterable<Uint8Array> {
  const source = body[Symbol.asyncIterator]();
  const asking = linkAbort(check.signal);
  const question = ask(check, asking.signal);
  const stop = (): void => {
    asking.abort();
    asking.unlink();
  };
  const chunks = handOn({ [Symbol.asyncIterator]: () => source }, { question, check, stop });
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => chunks.next(),
      // A generator that was never started would do neither.
      return: async () => {
        stop();
        await source.return?.();
        return chunks.return(undefined);
      },
    }),
  };
}

interface Question {
  answer: LookupResult | undefined;
  answered: Promise<unknown>;
}

function ask({ original }: CopyCheck, signal: AbortSignal): Question {
  const question: Question = {
    answer: undefined,
    answered: original.stat({ signal }).then(
      (found) => (question.answer = { found }),
      (error: unknown) =>
        (question.answer = { failed: error instanceof Error ? error.message : String(error) }),
    ),
  };
  return question;
}

async function* handOn(
  body: AsyncIterable<Uint8Array>,
  { question, check, stop }: { question: Question; check: CopyCheck; stop: () => void },
): AsyncGenerator<Uint8Array, undefined> {
  try {
    for await (const chunk of body) {
      await refuseStale(question.answer, check);
      yield chunk;
    }
    await withinTime(question.answered, PATIENCE_MS);
    check.signal.throwIfAborted();
    const { answer } = question;
    await refuseStale(answer, check);
    if (answer === undefined) check.onUnknown(`no answer within ${PATIENCE_MS / 1000} s`);
    else if ('failed' in answer) check.onUnknown(answer.failed);
    else if (answer.found !== undefined) check.onSame(answer.found);
  } finally {
    stop();
  }
}

async function refuseStale(answer: LookupResult | undefined, check: CopyCheck): Promise<void> {
  const stale = whyStale(answer, check);
  if (stale === undefined) return;
  await check.onStale();
  throw stale;
}

function whyStale(
  answer: LookupResult | undefined,
  { origin, original: { url } }: CopyCheck,
): CacheError | undefined {
  if (answer === undefined || 'failed' in answer) return undefined;
  const { found } = answer;
  if (found !== undefined && isCopyOf(found, origin)) return undefined;
  const what = found === undefined ? 'deleted' : 'replaced';
  return new CacheError('STORE_REPLACED', `${url} was ${what} after the local copy of it was made`, {
    hint: 'Run it again: the copy is not used any more.',
  });
}
