/** Jobs of one run on a pool: a bounded number under way, and the first failure stops everything. */
import type { Pool } from './pool.ts';
import type { Job, ReplyOf } from './protocol.ts';

export interface Crew {
  /**
   * Waits until there is room, then runs the job; `onReply` gets its answer. A failure, of `onReply` too,
   * aborts the run. `prepare` may wait for the answer of an earlier job.
   * @throws the reason the run was aborted for
   */
  submit<J extends Job>(prepare: () => J | Promise<J>, onReply: (reply: ReplyOf<J>) => void): Promise<void>;
  /** Waits until all jobs are done. @throws the same */
  idle(): Promise<void>;
}

export function createCrew(pool: Pool, stop: Pick<AbortController, 'signal' | 'abort'>): Crew {
  let underWay = 0;
  let wake = (): void => {};
  stop.signal.addEventListener('abort', () => wake());

  async function roomFor(count: number): Promise<void> {
    while (!stop.signal.aborted && underWay > count) await new Promise<void>((resolve) => (wake = resolve));
    stop.signal.throwIfAborted();
  }

  async function work<J extends Job>(
    prepare: () => J | Promise<J>,
    onReply: (reply: ReplyOf<J>) => void,
  ): Promise<void> {
    try {
      const job = await prepare();
      onReply(await pool.run(job, movable(job)));
    } catch (error) {
      stop.abort(error);
    }
    underWay--;
    wake();
  }

  return {
    async submit(prepare, onReply) {
      await roomFor(pool.capacity - 1);
      underWay++;
      void work(prepare, onReply);
    },
    idle: () => roomFor(0),
  };
}

/** The large buffer of a job moves instead of being copied: it has memory of its own. */
function movable(job: Job): ArrayBuffer[] {
  return job.type === 'unpack' ? [job.bytes.buffer] : [];
}
