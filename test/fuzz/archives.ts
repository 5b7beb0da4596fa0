/**
 * The archive fuzzer, by hand:
 *
 *     npx tsx test/fuzz/archives.ts --cases 1000000 [--seed 1] [--processes 2] [--base /dev/shm]
 *
 * Ends with 1 at the first case that escapes, crashes, hangs or takes too much memory, and says which seed it was; `--seed N
 * --cases 1` runs it again.
 */
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fuzz, FuzzFinding, type FuzzResult } from './run.ts';

/** Of a process that does nothing else, sources and compiler included. */
const MAX_RSS = 512 * 1024 * 1024;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    processes: { type: 'string', default: String(availableParallelism()) },
    base: { type: 'string', default: tmpdir() },
    child: { type: 'boolean', default: false },
  },
});
const from = Number(values.seed);
const to = from + Number(values.cases);

if (values.child) await runHere();
else await runInProcesses();

async function runHere(): Promise<void> {
  try {
    const result = await fuzz({
      base: values.base,
      from,
      to,
      onProgress: (done) => process.send?.({ done }),
    });
    process.send?.({ result });
  } catch (error) {
    if (error instanceof FuzzFinding) writeFileSync(join(tmpdir(), `fuzz-${error.seed}.bin`), error.bytes);
    process.send?.({
      finding: error instanceof Error ? `${error.stack}\n${String(error.cause)}` : String(error),
    });
  }
  process.disconnect?.();
}

async function runInProcesses(): Promise<void> {
  const began = performance.now();
  const processes = Math.min(Number(values.processes), to - from);
  const share = Math.ceil((to - from) / processes);
  const results = await Promise.all(
    Array.from({ length: processes }, (_, n) => {
      const first = from + n * share;
      return runChild(first, Math.min(share, to - first));
    }),
  );
  const total: FuzzResult = { outcomes: {}, peakRss: 0, slowestMs: 0 };
  for (const { outcomes, peakRss, slowestMs } of results) {
    for (const [name, count] of Object.entries(outcomes))
      total.outcomes[name] = (total.outcomes[name] ?? 0) + count;
    total.peakRss = Math.max(total.peakRss, peakRss);
    total.slowestMs = Math.max(total.slowestMs, slowestMs);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  process.stdout.write(
    `${to - from} cases from seed ${from} in ${seconds} s: no escape, no crash, no hang\n` +
      `peak memory ${Math.round(total.peakRss / 2 ** 20)} MiB a process, slowest case ${Math.round(total.slowestMs)} ms\n` +
      `${JSON.stringify(total.outcomes)}\n`,
  );
  if (total.peakRss > MAX_RSS) throw new Error('memory is not bounded');
}

function runChild(seed: number, cases: number): Promise<FuzzResult> {
  const args = ['--child', '--seed', String(seed), '--cases', String(cases), '--base', values.base];
  const child = fork(new URL(import.meta.url), args);
  return new Promise((resolve, reject) => {
    child.on('message', (message: { result?: FuzzResult; finding?: string }) => {
      if (message.result !== undefined) resolve(message.result);
      if (message.finding !== undefined) reject(new Error(message.finding));
    });
    child.on('exit', (code, signal) =>
      reject(new Error(`a process ended with ${signal ?? code}, seeds from ${seed}`)),
    );
  });
}
