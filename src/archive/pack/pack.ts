/**
 * Packing: the main thread plans members and keeps their order; the workers walk, read and compress. Members
 * come out in the order of the tree. The number of members under way is limited, so neither a large tree nor
 * a slow reader fills the memory.
 */
import { createHash, type Hash } from 'node:crypto';
import { CacheError } from '../../errors.ts';
import type { Container } from '../format/container.ts';
import {
  encodeRecord,
  INDEX_HEAD_LENGTH,
  indexedLength,
  RECIPE_LENGTH,
  RUNTIME_LENGTH,
  withDigest,
  type IndexedMember,
} from '../format/record.ts';
import { planMembers } from './plan-members.ts';
import { createPackLimits } from './limits.ts';
import { createPool, type Pool } from '../workers/pool.ts';
import { recheck } from './recheck.ts';
import { statement } from '../signature.ts';
import { withMadeTimes } from './made-times.ts';
import { arranged } from './order-entries.ts';
import { inSections } from './sections.ts';
import { readSourceTree, sourceEntries, type SourceTree } from './source-tree.ts';
import type { ArchiveSummary, Packing, PackOptions } from '../types.ts';
import type { MemberPlan, PackReply, SourceEntry } from '../workers/protocol.ts';
import { containerFor } from '../format/containers.ts';

/** Bytes of tar in a member. Measured, see docs/archive-format.md. */
const MEMBER_LENGTH = 2 * 1024 * 1024;
/** Bytes of an index record, at most: busybox refuses a gzip extra field that is much longer than 8 KiB. */
const INDEX_LENGTH = 8000;

/**
 * Packs directories into an archive. Nothing happens before the body is iterated. The body throws CacheError
 * SOURCE_CHANGED, SOURCE_UNREADABLE, ARCHIVE_LIMIT, WORKER_DIED, or the signal's reason.
 * @throws CacheError CONFIG_INVALID when this Node has no such compression, or a name in the seal is too long
 */
export function pack(options: PackOptions): Packing {
  return packWith(() => createPool({ size: options.workers }), options);
}

/** The same with the caller's pool, which is closed at the end. */
export function packWith(openPool: () => Pool, options: PackOptions): Packing {
  const container = containerFor(options.compression);
  requireValidSeal(options);
  let settle: { resolve: (summary: ArchiveSummary) => void; reject: (error: unknown) => void };
  const summary = new Promise<ArchiveSummary>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // The consumer of the body gets the same error.
  summary.catch(() => {});

  async function* body(): AsyncGenerator<Uint8Array> {
    const { signal } = options;
    let pool: Pool | undefined;
    const onAbort = (): void => void pool?.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      pool = openPool();
      signal.throwIfAborted();
      settle.resolve(yield* archive(options, container, pool));
    } catch (error) {
      const reason: unknown = signal.aborted ? signal.reason : error;
      settle.reject(reason);
      throw reason;
    } finally {
      settle.reject(new Error('packing was stopped'));
      signal.removeEventListener('abort', onAbort);
      await pool?.close();
    }
  }
  const parts = body();
  const stop = parts.return.bind(parts);
  // A generator that has not begun does not run its `finally`.
  parts.return = (value) => {
    settle.reject(new Error('packing was stopped'));
    return stop(value);
  };
  return { body: parts, summary };
}

async function* archive(
  options: PackOptions,
  container: Container,
  pool: Pool,
): AsyncGenerator<Uint8Array, ArchiveSummary> {
  const base = Buffer.from(options.dir).toString('latin1');
  const roots = options.roots.map((root) => Buffer.from(root).toString('latin1'));
  const limits = createPackLimits(options.limits, MEMBER_LENGTH);
  const tree = await readSourceTree(pool, { base, roots, excludes: options.excludes, limits });
  options.onCompiled?.(tree.compiled);
  const rootHash = createHash('sha256');
  const index: IndexedMember[] = [];
  const total: ArchiveSummary = { files: 0, bytes: 0, storedBytes: 0 };
  let packedBytes = 0;

  const { compression, level } = options;
  const plans = planMembers(arrangedSections(tree, options), MEMBER_LENGTH);
  const members = inOrder(plans, pool.capacity, (plan) =>
    pool.run({ type: 'pack', base, compression, level, plan }),
  );
  for await (const { plan, reply } of members) {
    const member = indexedMember(plan, reply);
    limits.addMember(member);
    index.push(member);
    rootHash.update(reply.digest);
    total.files += plan.entries;
    total.bytes += plan.tarLength;
    total.storedBytes += reply.bytes.length;
    packedBytes += plan.fileBytes;
    options.onMember?.(reply.bytes, reply.digest);
    yield reply.bytes;
    options.onProgress?.({ bytes: packedBytes, total: limits.fileBytes, files: total.files });
  }

  await recheck(pool, tree, { base, excludes: options.excludes });

  const indexOffset = total.storedBytes;
  for (const bytes of tail({ options, container, rootHash, index, total, indexOffset })) {
    total.storedBytes += bytes.length;
    yield bytes;
  }
  return total;
}

function* arrangedSections(
  tree: SourceTree,
  { packages = [], madeTimes }: PackOptions,
): Generator<SourceEntry[]> {
  const found = sourceEntries(tree);
  const except = madeTimes?.except.map((path) => Buffer.from(path).toString('latin1'));
  const entries = except === undefined ? found : withMadeTimes(found, except);
  for (const section of inSections(entries, packages)) yield arranged(section);
}

/**
 * Keeps plans of so many whole members under way and hands out what came of them in their order. Short members
 * count for what they are: behind a long one there are always enough of them for the other workers.
 */
async function* inOrder(
  plans: Iterator<MemberPlan>,
  limit: number,
  run: (plan: MemberPlan) => Promise<PackReply>,
): AsyncGenerator<{ plan: MemberPlan; reply: PackReply }> {
  const underWay: { plan: MemberPlan; reply: Promise<PackReply> }[] = [];
  let tarLength = 0;
  for (;;) {
    while (tarLength <= (limit - 1) * MEMBER_LENGTH) {
      const next = plans.next();
      if (next.done === true) break;
      const reply = run(next.value);
      // The error is thrown when it is this member's turn, which never comes after an earlier error.
      reply.catch(() => {});
      underWay.push({ plan: next.value, reply });
      tarLength += next.value.tarLength;
    }
    const first = underWay.shift();
    if (first === undefined) return;
    tarLength -= first.plan.tarLength;
    yield { plan: first.plan, reply: await first.reply };
  }
}

interface Tail {
  options: PackOptions;
  container: Container;
  rootHash: Hash;
  index: IndexedMember[];
  total: ArchiveSummary;
  indexOffset: number;
}

/** Index and trailer. */
function* tail({ options, container, rootHash, index, total, indexOffset }: Tail): Generator<Buffer> {
  for (const record of indexRecords(index)) {
    rootHash.update(record);
    yield container.encodeFrame(record);
  }
  const rootDigest = rootHash.digest();
  const { seal, sign } = options;
  const trailer = encodeRecord({
    kind: 'trailer',
    members: index.length,
    tarBytes: total.bytes,
    entries: total.files,
    indexOffset,
    rootDigest,
    keyDigest: Buffer.from(seal.keyDigest, 'hex'),
    installMs: Math.min(Math.round(seal.installSeconds * 1000), 0xffffffff),
    recipe: seal.recipe,
    runtime: seal.runtime,
    signature: sign?.(statement(seal, rootDigest)),
  });
  yield container.encodeFrame(withDigest(trailer));
}

function* indexRecords(index: readonly IndexedMember[]): Generator<Buffer> {
  let first = 0;
  while (first < index.length) {
    let end = first;
    let length = INDEX_HEAD_LENGTH;
    while (end < index.length && length + indexedLength(index[end]!) <= INDEX_LENGTH) {
      length += indexedLength(index[end]!);
      end++;
    }
    yield withDigest(encodeRecord({ kind: 'index', first, members: index.slice(first, end) }));
    first = end;
  }
}

function indexedMember(plan: MemberPlan, { bytes, frameLength, digest }: PackReply): IndexedMember {
  return {
    frameLength,
    storedLength: bytes.length - frameLength,
    tarLength: plan.tarLength,
    digest,
    firstPath: Buffer.from(plan.firstPath, 'latin1'),
  };
}

function requireValidSeal({ seal }: PackOptions): void {
  if (!/^[0-9a-f]{64}$/.test(seal.keyDigest)) throw new Error(`key digest ${seal.keyDigest}`);
  for (const [what, text, room] of [
    ['name of the recipe', seal.recipe, RECIPE_LENGTH],
    ['runtime', seal.runtime, RUNTIME_LENGTH],
  ] as const) {
    if (Buffer.byteLength(text) > room || /[\0\n]/.test(text))
      throw new CacheError('CONFIG_INVALID', `The ${what} "${text}" is longer than ${room} bytes`, {
        hint: 'Choose a shorter name.',
      });
  }
}
