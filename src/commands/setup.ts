import { CacheError } from '../errors.ts';
import { withDeadline } from '../session/deadline.ts';
import { bucketWithCredentials, type Session } from '../session/session.ts';
import type { Applied, Step, Wanted } from '../store/s3/setup/wanted.ts';
import { writeEnvFile } from './setup-files.ts';

export interface SetupFlags {
  /** Whether the command line names the bucket. A variable may not be set yet. */
  isNamedHere: boolean;
  /** 0: entries stay. @default 30 */
  expireDays: number;
  /** @default 1 */
  abortDays: number;
  encryption?: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  intelligentTiering?: boolean;
  accelerate?: boolean;
  logBucket?: string;
  publicAccessBlock: boolean;
  dryRun?: boolean;
  yes?: boolean;
  envFile?: boolean;
}

/** Asks whether to carry out a plan. @throws CacheError USAGE if nobody can be asked */
export type Agree = (plan: string) => Promise<boolean>;

/** Sets the configured bucket up, after a look at what is there. A second run finds nothing to do. */
export async function setup(
  session: Session,
  flags: SetupFlags,
  agree: Agree,
): Promise<{ json: unknown; text: string }> {
  const { config } = session;
  const s3 = bucketWithCredentials(config);
  if (s3 === undefined) {
    throw new CacheError('USAGE', 'No bucket is named', {
      hint: 'For example: sandbox-cache setup my-claude-sandbox-cache',
    });
  }
  if (config.readonly && flags.dryRun !== true) {
    throw new CacheError('CONFIG_INVALID', 'CACHE_READONLY is set: nothing may be changed', {
      hint: 'Unset it, or look with --dry-run.',
    });
  }
  const wanted = wantedOf(session, s3, flags);
  const { openSetup } = await import('../store/s3/setup/setup.ts');
  const { emit } = session;
  const opened = await openSetup(wanted, { ...s3, stallTimeoutMs: config.stallTimeoutMs, emit });
  const what = `Setting up ${s3.bucket}`;
  try {
    const steps = await withDeadline(session, what, (signal) => opened.plan(signal));
    const todo = steps.filter(({ state }) => state === 'todo');
    const document = (results: Results, file?: string): { json: unknown; text: string } => ({
      json: {
        bucket: s3.bucket,
        dryRun: flags.dryRun === true,
        steps: steps.map((step) => stepJson(step, results.get(step))),
        ...(file === undefined ? {} : { envFile: file }),
      },
      text: [planText(steps, results), ...(file === undefined ? [] : [file])].join('\n'),
    });
    if (flags.dryRun === true) {
      const lines = todo.flatMap(({ title, note, commands }) => [
        `# ${title}${note === undefined ? '' : ` (${note})`}`,
        ...commands.map((words) => opened.commandLine(words)),
      ]);
      return { ...document(new Map()), text: lines.length === 0 ? '# Nothing to do.' : lines.join('\n') };
    }
    const results: Results = new Map();
    if (todo.length > 0) {
      if (flags.yes !== true && !(await agree(planText(steps, results)))) return document(results);
      await withDeadline(session, what, async (signal) => {
        for (const step of todo) results.set(step, await step.apply(signal));
      });
    }
    tellShortcomings(session, steps, results);
    const file = flags.envFile === true ? writeEnvFile(session, s3) : undefined;
    requireAll(results);
    const done = document(results, file);
    const isKnown = flags.envFile === true || !flags.isNamedHere;
    return isKnown ? done : { ...done, text: `${done.text}\nNow: export CACHE_S3_BUCKET=${s3.bucket}` };
  } finally {
    opened.close();
  }
}

type Results = Map<Step, Applied>;

function wantedOf(
  { config }: Session,
  s3: {
    bucket: string;
    sse: Wanted['encryption']['algorithm'] | undefined;
    kmsKeyId: string | undefined;
    accelerate: boolean;
  },
  flags: SetupFlags,
): Wanted {
  const asked = flags.encryption ?? s3.sse ?? (s3.kmsKeyId === undefined ? undefined : 'aws:kms');
  return {
    bucket: s3.bucket,
    prefix: config.prefix,
    expireDays: flags.expireDays === 0 ? undefined : flags.expireDays,
    abortDays: flags.abortDays,
    tiering: flags.intelligentTiering === true,
    blockPublic: flags.publicAccessBlock,
    encryption: { algorithm: asked ?? 'AES256', key: s3.kmsKeyId, isAsked: asked !== undefined },
    accelerate: flags.accelerate === true || s3.accelerate,
    logBucket: flags.logBucket,
  };
}

const DONE = { done: 'set', unsupported: 'not offered', denied: 'DENIED', failed: 'FAILED' } as const;
const FOUND = { done: 'is there', todo: 'to do', unsupported: 'not offered' } as const;

function planText(steps: readonly Step[], results: Results): string {
  return steps
    .map((step) => {
      const applied = results.get(step);
      const note = applied?.note ?? (applied === undefined ? step.note : undefined);
      const word = applied === undefined ? FOUND[step.state] : DONE[applied.result];
      return `${word.padEnd(11)}  ${step.title}${note === undefined ? '' : ` (${note})`}`;
    })
    .join('\n');
}

function stepJson({ title, state, note, commands }: Step, applied: Applied | undefined): unknown {
  return { title, state, note, commands, ...(applied === undefined ? {} : { applied }) };
}

/** Prints a line for what the service does not have. That is no error. */
function tellShortcomings({ emit }: Session, steps: readonly Step[], results: Results): void {
  for (const step of steps) {
    const applied = results.get(step);
    if ((applied?.result ?? step.state) === 'unsupported')
      emit({ type: 'warning', message: `This service does not offer: ${step.title}` });
    else if (applied?.result === 'done' && applied.note !== undefined)
      emit({ type: 'warning', message: `${step.title}: ${applied.note}` });
  }
}

/** @throws CacheError that names each step that was not done, after all were tried */
function requireAll(results: Results): void {
  const missed = [...results].filter(([, { result }]) => result === 'denied' || result === 'failed');
  if (missed.length === 0) return;
  const isDenied = missed.some(([, { result }]) => result === 'denied');
  const names = missed.map(([{ title }, { note }]) => `${title} (${note ?? 'failed'})`);
  const done = [...results].filter(([, { result }]) => result === 'done').map(([{ title }]) => title);
  throw new CacheError(
    isDenied ? 'STORE_ACCESS_DENIED' : 'STORE_FAILED',
    `Not done: ${names.join('; ')}. Done: ${done.join('; ') || 'nothing'}`,
    { hint: 'Allow it and run setup again: what is done stays done.' },
  );
}
