import { afterEach, expect, it, vi } from 'vitest';
import type { CacheError } from '../../src/errors.ts';
import { createProgram } from '../../src/program/program.ts';

afterEach(() => void vi.unstubAllGlobals());

/** What the action of a command line throws before it does anything. */
async function refusal(argv: readonly string[]): Promise<CacheError | undefined> {
  vi.stubGlobal('SANDBOX_CACHE_VERSION', '0.0.0');
  let refused: CacheError | undefined;
  const nowhere = { write: () => {} };
  const program = createProgram(
    argv,
    { stdout: nowhere, stderr: nowhere },
    {
      async perform(_flags, action) {
        // No session: a command line that is right fails when it asks for one.
        await action(undefined as never, () => {}).catch((error: CacheError) => (refused = error));
      },
      examine: async () => {},
    },
  );
  await program.parseAsync(argv, { from: 'user' });
  return refused;
}

it('ensure looks for -- in the arguments it was given, not in those of the process', async () => {
  expect((await refusal(['ensure', 'bundle', 'npm', '--', 'make']))?.code).toBe('USAGE');
  expect((await refusal(['ensure', 'bundle', '--', 'npm', 'ci']))?.code).toBeUndefined();
});
