/**
 * What the main thread and the workers say to each other. A job is answered by exactly one reply of its type, or an error.
 * Paths are binary strings, one character a byte, see format/tar-header.ts.
 */
import type { LookJob, LookReply } from '../pack/look-again.ts';
import type { PackJob, PackReply } from '../pack/pack-member.ts';
import type { SettleJob, SettleReply } from '../unpack/finish-tree.ts';
import type { UnpackJob, UnpackReply } from '../unpack/unpack-member.ts';
import type { WalkJob, WalkReply } from '../pack/walk.ts';

export type Job = WalkJob | PackJob | LookJob | UnpackJob | SettleJob;

/** Reply of each job, by the job's type. */
export interface Replies {
  walk: WalkReply;
  pack: PackReply;
  look: LookReply;
  unpack: UnpackReply;
  settle: SettleReply;
}

export type ReplyOf<J extends Job> = Replies[J['type']];

/** What a handler answers; the buffers move instead of being copied. */
export interface Answer<R> {
  reply: R;
  transfer: ArrayBuffer[];
}

/** Main thread → worker. */
export interface Request {
  id: number;
  job: Job;
}

/** Worker → main thread. */
export type Response =
  | { id: number; reply: Replies[keyof Replies] }
  | { id: number; failure: { code?: string; message: string; hint?: string; stack?: string } };
