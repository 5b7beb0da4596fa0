/**
 * Members that need not be packed, because an entry that was restored here holds them and nothing they are made
 * of has changed since. What a file holds cannot change without its ctime, so the tree is looked at right after
 * the restore, and each ctime is compared exactly: clocks may step back.
 *
 * The tree as it was restored is planned as it would be packed. If the plan is the restored entry member for
 * member, then a member of the new plan that equals one of the old plan has the same bytes of tar.
 */
import { createHash } from 'node:crypto';
import { CacheError } from '../../errors.ts';
import type { HeldChunk } from '../../async/chunks.ts';
import { binary } from '../format/binary-string.ts';
import { createPool, type Pool } from '../workers/pool.ts';
import type { MemberPlan, SourceEntry } from '../workers/protocol.ts';
import type { PackOptions, StoredMember } from '../types.ts';
import { createPackLimits } from './limits.ts';
import { MEMBER_LENGTH, plansOf } from './plan-members.ts';
import { readSourceTree, type SourceTree } from './source-tree.ts';

/** An entry that was restored, for the packing of a tree that grew out of it. */
export interface RestoredEntry {
  members: readonly StoredMember[];
  /**
   * By `hashOf` their plans. Found out by the first call, which takes a quarter of a second for a tree of 85,000
   * files.
   */
  planned?: () => ReadonlyMap<string, StoredMember>;
}

export type LookOptions = Pick<
  PackOptions,
  'dir' | 'roots' | 'excludes' | 'packages' | 'madeTimes' | 'limits' | 'signal'
>;

/**
 * Looks at a tree as it was restored, before anything in it changes.
 * @throws CacheError SOURCE_CHANGED, SOURCE_UNREADABLE, ARCHIVE_LIMIT
 */
export function lookAtRestored(
  members: readonly StoredMember[],
  options: LookOptions & { workers: number },
): Promise<RestoredEntry> {
  return lookWith(() => createPool({ size: options.workers }), members, options);
}

/** The same with the caller's pool, which is closed at the end. */
export async function lookWith(
  openPool: () => Pool,
  members: readonly StoredMember[],
  { dir, roots, excludes, limits, signal, ...options }: LookOptions,
): Promise<RestoredEntry> {
  const pool = openPool();
  const stop = (): void => void pool.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    let tree: SourceTree | undefined = await readSourceTree(pool, {
      base: binary(dir),
      roots: roots.map(binary),
      excludes,
      limits: createPackLimits(limits, MEMBER_LENGTH),
      lookInside: false,
    });
    let planned: ReadonlyMap<string, StoredMember> = new Map();
    return {
      members,
      planned() {
        const looked = tree;
        tree = undefined;
        if (looked !== undefined) planned = byPlan(members, plansOf(looked, options));
        return planned;
      },
    };
  } finally {
    signal.removeEventListener('abort', stop);
    await pool.close();
  }
}

export interface UnchangedMembers {
  /** The restored member that has the same tar, by the plan. */
  planned(plan: MemberPlan): StoredMember | undefined;
  /** The restored member that is the same, byte for byte. */
  packed(digest: Uint8Array): StoredMember | undefined;
}

export function unchangedSince({ members, planned }: RestoredEntry): UnchangedMembers {
  const byDigest = new Map(members.map((member) => [hex(member.digest), member]));
  return {
    planned: (plan) => (plan.kind === 'end' ? undefined : planned?.().get(hashOf(plan))),
    packed: (digest) => byDigest.get(hex(digest)),
  };
}

/** Empty if the entry was not packed as it would be now. */
function byPlan(members: readonly StoredMember[], plans: Iterable<MemberPlan>): Map<string, StoredMember> {
  const found = new Map<string, StoredMember>();
  let n = 0;
  for (const plan of plans) {
    const member = members[n++];
    const isSame =
      member !== undefined && member.tarLength === plan.tarLength && member.firstPath === plan.firstPath;
    if (!isSame) return new Map();
    if (plan.kind !== 'end') found.set(hashOf(plan), member);
  }
  return n === members.length ? found : new Map();
}

/** Of all that the tar of a member is made from, ctimes and inodes in place of what files hold. */
function hashOf(plan: Exclude<MemberPlan, { kind: 'end' }>): string {
  const hash = createHash('sha256');
  const add = (text: string): void => void hash.update(`${text.length}:`).update(text, 'latin1');
  if (plan.kind === 'piece') {
    add(`piece ${plan.offset} ${plan.tarLength} ${numbersOf(plan.file).join(' ')}`);
    add(plan.file.path);
  } else {
    add(`data ${plan.tarLength} ${plan.open?.offset} ${plan.open?.pieceLength}`);
    add(plan.paths);
    add(plan.linkPaths);
    hash.update(plan.numbers);
  }
  return hash.digest('base64');
}

function numbersOf({ mode, size, mtimeUs, ctimeUs, inode, hasMadeTime }: SourceEntry): number[] {
  return [mode, size, mtimeUs, ctimeUs, inode, Number(hasMadeTime)];
}

/**
 * A chunk that stands for a restored member.
 * @param pack makes the bytes anew
 */
export function heldChunk(
  { offset, length, digest, firstPath }: StoredMember,
  pack: () => Promise<{ bytes: Uint8Array; digest: Uint8Array }>,
): HeldChunk {
  return {
    offset,
    length,
    async read() {
      const packed = await pack();
      if (Buffer.compare(packed.digest, digest) === 0) return packed.bytes;
      throw new CacheError('SOURCE_CHANGED', `${firstPath} and what is packed with it are not as restored`);
    },
  };
}

function hex(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex');
}
