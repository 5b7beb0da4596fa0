/**
 * What all test files of a run share lives in Vitest's main process: S3 servers and installed projects, each made when the
 * first test asks. The files run in processes of their own and ask over loopback.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestProject } from 'vitest/node';
import { openFixturePool } from './fixture-pool.ts';
import { openServerPool } from './server-pool.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The URL of this run's shared things. */
    sharedRun: string;
  }
}

/** At the end it says which servers ran and which did not, and why. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = await openServerPool(process.env);
  const fixtures = await openFixturePool(process.env);
  const answer = async (url: URL): Promise<unknown> => {
    const name = url.searchParams.get('name') ?? '';
    switch (url.pathname) {
      case '/servers':
        return servers.states();
      case '/start':
        return servers.start(name);
      case '/use':
        servers.use(name);
        return {};
      case '/fixture':
        return fixtures.build(name);
      default:
        throw new Error(`nothing at ${url.pathname}`);
    }
  };
  const http = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://shared');
    void answer(url)
      .catch((error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }))
      .then((body) => response.end(JSON.stringify(body)));
  });
  // A fixture may take longer than any idle limit.
  http.requestTimeout = 0;
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  project.provide('sharedRun', `http://127.0.0.1:${(http.address() as AddressInfo).port}`);
  return async () => {
    http.close();
    http.closeAllConnections();
    const [line] = await Promise.all([servers.close(), fixtures.close()]);
    process.stdout.write(`\n${line}\n`);
  };
}
