/**
 * Packing: the main thread plans members and keeps their order; the workers walk, read and compress. Members
 * come out in the order of the tree. The number of members under way is limited, so neither a large tree nor
 * a slow reader fills the memory.
 */
import { createHash, type Hash } from 'node:crypto';
import { CacheError } from '../../errors.ts';
import { bytesOf, type Chunk } from '../../async/chunks.ts';
import { binary } from '../format/binary-string.ts';
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
import { MEMBER_LENGTH, plansOf } from './plan-members.ts';
import { createPackLimits } from './limits.ts';
import { createPool, type Pool } from '../workers/pool.ts';
import { recheck } from './recheck.ts';
import { statement } from '../signature.ts';
import { readSourceTree } from './source-tree.ts';
import { heldChunk, type RestoredEntry, unchangedSince } from './unchanged.ts';
import type { ArchiveSummary, Packing, PackOptions, StoredMember } from '../types.ts';
import type { MemberPlan, PackReply } from '../workers/protocol.ts';
import { containerFor } from '../format/containers.ts';

/** Bytes of an index record, at most: busybox refuses a gzip extra field that is much longer than 8 KiB. */
const INDEX_LENGTH = 8000;

/**
 * Packs directories into an archive. Nothing happens before the body is iterated. The body throws CacheError
 * SOURCE_CHANGED, SOURCE_UNREADABLE, ARCHIVE_LIMIT, WORKER_DIED, or the signal's reason.
 * @param restored an entry that holds part of the tree, maybe. Members that it has are not packed again
 * @throws CacheError CONFIG_INVALID when this Node has no such compression, or a name in the seal is too long
 */
export function pack(options: PackOptions, restored?: RestoredEntry): Packing {
  return packWith(() => createPool({ size: options.workers }), options, restored);
}

/** The same with the caller's pool, which is closed at the end. */
export function packWith(openPool: () => Pool, options: PackOptions, restored?: RestoredEntry): Packing {
  const container = containerFor(options.compression);
  requireValidSeal(options);
  let settle: { resolve: (summary: ArchiveSummary) => void; reject: (error: unknown) => void };
  const summary = new Promise<ArchiveSummary>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // The consumer of the body gets the same error.
  summary.catch(() => {});

  async function* make(): AsyncGenerator<Chunk> {
    const { signal } = options;
    let pool: Pool | undefined;
    const onAbort = (): void => void pool?.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      pool = openPool();
      signal.throwIfAborted();
      settle.resolve(yield* archive({ options, container, pool, restored }));
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
  const chunks = make();
  const stop = chunks.return.bind(chunks);
  // A generator that has not begun does not run its `finally`.
  chunks.return = (value) => {
    settle.reject(new Error('packing was stopped'));
    return stop(value);
  };
  const body = bytesOf(chunks);
  const end = body.return.bind(body);
  body.return = async (value) => {
    const ended = await end(value);
    await chunks.return(undefined);
    return ended;
  };
  return { body, chunks, summary };
}

interface Archiving {
  options: PackOptions;
  container: Container;
  pool: Pool;
  restored: RestoredEntry | undefined;
}

async function* archive(archiving: Archiving): AsyncGenerator<Chunk, ArchiveSummary> {
  const { options, container, pool } = archiving;
  const base = binary(options.dir);
  const roots = options.roots.map(binary);
  const limits = createPackLimits(options.limits, MEMBER_LENGTH);
  const tree = await readSourceTree(pool, {
    base,
    roots,
    excludes: options.excludes,
    limits,
    lookInside: true,
  });
  options.onCompiled?.(tree.compiled);
  const rootHash = createHash('sha256');
  const index: IndexedMember[] = [];
  const total: ArchiveSummary = { files: 0, bytes: 0, storedBytes: 0 };
  let packedBytes = 0;

  const plans = plansOf(tree, options);
  const packer = createPacker(archiving, base);
  for await (const { plan, packed } of inOrder(plans, pool.capacity, packer.pack)) {
    const member = indexedMember(plan, packed);
    limits.addMember(member);
    index.push(member);
    rootHash.update(packed.digest);
    total.files += plan.entries;
    total.bytes += plan.tarLength;
    total.storedBytes += packed.chunk.length;
    packedBytes += plan.fileBytes;
    yield packed.chunk;
    options.onProgress?.({ bytes: packedBytes, total: limits.fileBytes, files: total.files });
  }
  await packer.idle();

  await recheck(pool, tree, { base, excludes: options.excludes });

  const indexOffset = total.storedBytes;
  for (const bytes of tail({ options, container, rootHash, index, total, indexOffset })) {
    total.storedBytes += bytes.length;
    yield bytes;
  }
  return total;
}

/** A member that is packed, or need not be. */
interface Packed {
  chunk: Chunk;
  frameLength: number;
  digest: Uint8Array;
}

interface Packer {
  pack(plan: MemberPlan): Promise<Packed>;
  /** Resolves when nobody is reading a chunk. */
  idle(): Promise<unknown>;
}

function createPacker({ options, pool, restored }: Archiving, base: string): Packer {
  const { compression, level } = options;
  const reading = new Set<Promise<PackReply>>();
  const unchanged = restored && unchangedSince(restored);
  /** Whether packing makes what the restored entry holds: it may be another version's. Found out with one member. */
  let isReproduced: Promise<boolean> | undefined;

  const run = (plan: MemberPlan): Promise<PackReply> =>
    pool.run({ type: 'pack', base, compression, level, plan });

  async function reproduces(plan: MemberPlan, member: StoredMember): Promise<boolean> {
    const { digest } = await run(plan);
    return Buffer.compare(digest, member.digest) === 0;
  }

  function read(plan: MemberPlan): Promise<PackReply> {
    const reply = run(plan);
    reading.add(reply);
    const done = (): void => void reading.delete(reply);
    reply.then(done, done);
    return reply;
  }

  return {
    async pack(plan) {
      const planned = unchanged?.planned(plan);
      if (planned !== undefined && (await (isReproduced ??= reproduces(plan, planned)))) {
        const { frameLength, digest } = planned;
        return { chunk: heldChunk(planned, () => read(plan)), frameLength, digest };
      }
      const reply = await run(plan);
      const { bytes, frameLength, digest } = reply;
      const same = unchanged?.packed(digest);
      const chunk = same === undefined ? bytes : heldChunk(same, () => Promise.resolve(reply));
      return { chunk, frameLength, digest };
    },
    idle: () => Promise.allSettled(reading),
  };
}

/**
 * Keeps plans of so many whole members under way and hands out what came of them in their order. Short members
 * count for what they are: behind a long one there are always enough of them for the other workers.
 */
async function* inOrder(
  plans: Iterator<MemberPlan>,
  limit: number,
  pack: (plan: MemberPlan) => Promise<Packed>,
): AsyncGenerator<{ plan: MemberPlan; packed: Packed }> {
  const underWay: { plan: MemberPlan; packed: Promise<Packed> }[] = [];
  let tarLength = 0;
  for (;;) {
    while (tarLength <= (limit - 1) * MEMBER_LENGTH) {
      const next = plans.next();
      if (next.done === true) break;
      const packed = pack(next.value);
      // The error is thrown when it is this member's turn, which never comes after an earlier error.
      packed.catch(() => {});
      underWay.push({ plan: next.value, packed });
      tarLength += next.value.tarLength;
    }
    const first = underWay.shift();
    if (first === undefined) return;
    tarLength -= first.plan.tarLength;
    yield { plan: first.plan, packed: await first.packed };
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

function indexedMember(plan: MemberPlan, { chunk, frameLength, digest }: Packed): IndexedMember {
  return {
    frameLength,
    storedLength: chunk.length - frameLength,
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
