import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CacheError } from '../../src/errors.ts';
import { emptyTargets } from '../../src/workspace/empty.ts';
import { type Hold, takeHold } from '../../src/workspace/hold.ts';
import { clearLeftovers, openStaging } from '../../src/workspace/staging.ts';

let project: string;
beforeEach(() => void (project = mkdtempSync(join(tmpdir(), 'sandbox-cache-hold-'))));
afterEach(() => rmSync(project, { recursive: true, force: true }));

const never = new AbortController().signal;
const targets = ['node_modules'];

function take(tokens: readonly string[] = []): Promise<Hold> {
  return takeHold({ projectDir: project, targets, signal: never, tokens });
}

/** Whether somebody else would have to wait. The wait is given up at once. */
async function isHeld(): Promise<boolean> {
  const controller = new AbortController();
  const onWait = (): void => controller.abort(new CacheError('INTERRUPTED', 'stopped'));
  try {
    (await takeHold({ projectDir: project, targets, signal: controller.signal, onWait })).release();
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: 'INTERRUPTED' });
    return true;
  }
}

/** As a volume is: a directory that cannot be renamed, so that the home of a restore lies in it. */
function makeVolume(): void {
  mkdirSync(join(project, 'volume'));
  symlinkSync('volume', join(project, 'node_modules'));
}

const KINDS = [
  ['a plain directory', () => {}],
  ['a volume', makeVolume],
] as const;

describe.each(KINDS)('a hold on %s', (_, make) => {
  beforeEach(make);

  it('keeps others out until it is released, and leaves nothing', async () => {
    const before = readdirSync(project).sort();
    const hold = await take();
    expect(await isHeld()).toBe(true);
    hold.release();
    hold.release();
    expect(await isHeld()).toBe(false);
    expect(readdirSync(project).sort()).toEqual(before);
  });

  it('outlives an installer that removes all that is in the target', async () => {
    const hold = await take();
    hold.mark();
    mkdirSync(join(project, 'node_modules/one'), { recursive: true });
    for (const name of readdirSync(join(project, 'node_modules')))
      rmSync(join(project, 'node_modules', name), { recursive: true });
    expect(await isHeld()).toBe(true);
    hold.release();
    const next = await take();
    expect(next.marked).toBe('left');
    next.unmark();
    next.release();
    expect(readdirSync(project).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('lets those in who have its tokens, to restore as well', async () => {
    const hold = await take();
    hold.mark();
    const inner = await take(hold.tokens);
    expect(inner.waited).toBe(false);
    expect(inner.marked).toBe('under way');
    const options = { projectDir: project, targets, signal: never, tokens: hold.tokens };
    const stagings = [await openStaging(options), await openStaging(options)];
    for (const { roots } of stagings) mkdirSync(roots[0]?.dir ?? '');
    for (const staging of stagings) {
      writeFileSync(join(staging.roots[0]?.dir ?? '', 'one'), '');
      await staging.commit(targets);
      await staging.close();
    }
    expect(existsSync(join(project, 'node_modules/one'))).toBe(true);
    inner.release();
    expect(await isHeld()).toBe(true);
    expect(hold.marked).toBe('under way');
    hold.unmark();
    hold.release();
  });

  it('is not needed to clear what a dead run has left, and a mark stays', async () => {
    const hold = await take();
    hold.mark();
    hold.release();
    await clearLeftovers({ projectDir: project, targets, signal: never });
    const next = await take();
    expect(next.marked).toBe('left');
    next.release();
  });
});

it('a mark that is no file of ours counts as one', async () => {
  mkdirSync(join(project, '.sandbox-cache-node_modules/installing.json'), { recursive: true });
  const hold = await take();
  expect(hold.marked).toBe('left');
  hold.unmark();
  expect(hold.marked).toBe('none');
  hold.release();
  expect(readdirSync(project)).toEqual([]);
});

it('targets are emptied without being removed, and never through a link in them', async () => {
  makeVolume();
  const hold = await take();
  writeFileSync(join(project, 'precious'), 'precious');
  mkdirSync(join(project, 'volume/one/two'), { recursive: true });
  symlinkSync(project, join(project, 'volume/link'));
  await emptyTargets(hold.layout);
  expect(await isHeld()).toBe(true);
  hold.release();
  expect(readdirSync(join(project, 'volume'))).toEqual([]);
  expect(readFileSync(join(project, 'precious'), 'utf8')).toBe('precious');
});
