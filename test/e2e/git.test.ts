/** What git sees of us, and what it does to a restore that is under way. */
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import {
  debris,
  DEPS,
  expectExit,
  makeProject,
  tool,
  treeOf,
  useSandbox,
  wipe,
  writeFiles,
} from './support.ts';

const sandbox = useSandbox();

const git = (...args: string[]): Promise<string> =>
  tool('git', ['-c', 'user.name=test', '-c', 'user.email=test@test', ...args], { cwd: sandbox.project });

beforeEach(async () => {
  makeProject(sandbox.project, { bigBytes: 20_000_000 });
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  writeFiles(sandbox.project, { '.gitignore': '/deps/\n' });
  await git('init', '-q');
  await git('add', '-A');
  await git('commit', '-qm', 'first');
});

/** Runs `work` while a restore is half-way, then lets that go on. */
async function during(work: () => Promise<void>): Promise<Awaited<ReturnType<typeof sandbox.run>>> {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  sandbox.server.faults.add({
    match: ({ operation, range }) => operation === 'GetObject' && !range?.startsWith('bytes=0-'),
    times: 1000,
    effect: { type: 'before', run: () => released },
  });
  const running = await sandbox.start(['restore', ...DEPS]);
  try {
    const isHalfWay = (): boolean => debris(sandbox.project).some((path) => path.endsWith('big.bin'));
    await expect.poll(isHalfWay, { timeout: 20_000 }).toBe(true);
    await work();
  } finally {
    release();
  }
  return running.done;
}

it('shows and adds nothing of ours while a restore is under way, nor after it', async () => {
  wipe(sandbox.project, 'deps');
  const result = await during(async () => {
    expect(await git('status', '--porcelain', '--untracked-files=all')).toBe('');
    await git('add', '-A');
    expect(await git('diff', '--cached', '--name-only')).toBe('');
  });
  expectExit(result, 0);
  expect(await git('status', '--porcelain', '--untracked-files=all')).toBe('');
});

it('a plain git clean leaves what is staged alone', async () => {
  wipe(sandbox.project, 'deps');
  expectExit(await during(async () => void (await git('clean', '-fdq'))), 0);
});

it.each([
  ['clean', ['clean', '-fdxq']],
  ['rm', undefined],
] as const)('what is staged is removed by %s: told with what to do, the old tree stays', async (_, args) => {
  makeProject(sandbox.project);
  wipe(sandbox.project, 'deps/.sandbox-cache-receipt.json', 'deps/big.bin');
  const before = treeOf(join(sandbox.project, 'deps'));
  const result = await during(async () => {
    if (args !== undefined) await git(...args, '-e', '/deps/');
    else wipe(sandbox.project, '.sandbox-cache-deps');
  });
  expectExit(result, 3);
  expect(result.stderr).toMatch(/^\[cache\] error: .*(git clean).* \[TARGET_UNWRITABLE\]$/m);
  expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
  expect(debris(sandbox.project)).toEqual([]);
});
