import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // What is waited for comes at once on a machine at rest. Here others may be at work.
    expect: { poll: { timeout: 20_000 } },
    // Two cores: the servers and the worker pools under test want some of them too.
    maxWorkers: 2,
    pool: 'forks',
  },
});
