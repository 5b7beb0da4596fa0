/** Entry of a worker thread: hands each job to its handler and sends back what it answers. */
import { parentPort } from 'node:worker_threads';
import { CacheError } from '../errors.ts';
import { memoryError } from './errors.ts';
import { lookAgain } from './pack/look-again.ts';
import { createMemberPacker } from './pack/pack-member.ts';
import { finishTree } from './unpack/finish-tree.ts';
import type { MemberReader } from './read/read-member.ts';
import { createMemberUnpacker } from './unpack/unpack-member.ts';
import { walk } from './pack/walk.ts';
import type { HandlerResult, Job, Replies, Request, Response } from './workers/protocol.ts';

if (parentPort === null) throw new Error('worker.ts runs in a worker thread only');
const port = parentPort;
const packMember = createMemberPacker();
/** A pool serves one archive: what a worker remembers of it lasts as long as the worker. */
let unpackMember: MemberReader | undefined;

port.on('message', ({ id, job }: Request) => {
  try {
    const { reply, transfer } = handle(job);
    port.postMessage({ id, reply } satisfies Response, transfer);
  } catch (error) {
    port.postMessage({ id, failure: describe(error) } satisfies Response);
  }
});

function handle(job: Job): HandlerResult<Replies[keyof Replies]> {
  switch (job.type) {
    case 'walk':
      return walk(job);
    case 'pack':
      return packMember(job);
    case 'look':
      return lookAgain(job);
    case 'unpack':
      unpackMember ??= createMemberUnpacker(job.setup);
      return unpackMember(job);
    case 'finish':
      return finishTree(job);
  }
}

function describe(thrown: unknown): Extract<Response, { failure: unknown }>['failure'] {
  const error = memoryError(thrown);
  if (error instanceof CacheError)
    return {
      code: error.code,
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    };
  if (error instanceof Error)
    return { message: error.message, ...(error.stack === undefined ? {} : { stack: error.stack }) };
  return { message: String(error) };
}
