/**
 * The network goes wrong in the middle of a transfer of the built command, before any server is reached: the name is gone, or
 * somebody else answers. The whole matrix is in test/store/s3/faults-way.test.ts.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startFront, type Front } from '../support/front.ts';
import { losesLocalhost } from '../support/host-names.ts';
import { startOf } from '../store/s3/faults.ts';
import {
  cacheLines,
  debris,
  DEPS,
  expectExit,
  makeProject,
  treeOf,
  useSandbox,
  wipe,
  writeFiles,
} from './support.ts';

const sandbox = useSandbox({ tls: true });
let front: Front;
beforeEach(async () => {
  front = await startFront(sandbox.server.port);
  writeFileSync(join(sandbox.folder, 'ca.pem'), sandbox.server.certificate!);
});
afterEach(() => front.close());

const gone = (): string => join(sandbox.folder, 'gone');
const env = (): Record<string, string> => ({
  ...losesLocalhost(gone()),
  AWS_ENDPOINT_URL_S3: front.endpoint,
  AWS_CA_BUNDLE: join(sandbox.folder, 'ca.pem'),
});

describe.each([
  ['the name is gone', 'STORE_UNREACHABLE', () => (writeFileSync(gone(), ''), front.cut())],
  ['another certificate', 'STORE_TLS', () => front.meet('stranger', 1000)],
  ['TLS is garbled', 'STORE_TLS', () => front.meet('garbles', 1000)],
])('%s half way: exit 3', (_, code, strike) => {
  const at = (operation: string, from = 0): void =>
    sandbox.server.faults.add({
      match: (request) => request.operation === operation && (from === 0 || startOf(request.range) >= from),
      // Connections may be on their way already.
      times: 1000,
      effect: {
        type: 'before',
        run: () => {
          strike();
          return new Promise<void>(() => {});
        },
      },
    });

  it('restore leaves what was there', async () => {
    makeProject(sandbox.project, { bigBytes: 20_000_000 });
    expectExit(await sandbox.run(['save', ...DEPS], { env: env() }), 0);
    writeFiles(sandbox.project, { 'deps/.sandbox-cache-receipt.json': '', 'deps/mine.txt': 'mine' });
    const before = treeOf(join(sandbox.project, 'deps'));
    at('GetObject', 8 * 1024 * 1024);
    const result = expectExit(await sandbox.run(['restore', ...DEPS], { env: env() }), 3);
    expect(result.stderr).toMatch(new RegExp(`^\\[cache\\] error: [^\\n]* \\[${code}\\]\\n$`));
    expect(sandbox.server.faults.left).toBeLessThan(1000);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    expect(debris(sandbox.project)).toEqual([]);
  });

  it('save stores nothing, and says that an upload may be left', async () => {
    makeProject(sandbox.project, { bigBytes: 20_000_000 });
    at('UploadPart');
    const result = expectExit(await sandbox.run(['save', ...DEPS], { env: env() }), 3);
    expect(result.stderr).toMatch(/^\[cache\] warning: [^\n]* could not be removed/m);
    expect(result.stderr).toMatch(new RegExp(`^\\[cache\\] error: [^\\n]* \\[${code}\\]$`, 'm'));
    expect(sandbox.keys).toEqual([]);
  });
});

it('one connection that trickles is overtaken by a second one, and the log counts it', async () => {
  makeProject(sandbox.project, { bigBytes: 9_000_000 });
  expectExit(await sandbox.run(['save', ...DEPS], { env: env() }), 0);
  const before = treeOf(sandbox.project);
  wipe(sandbox.project, 'deps');
  sandbox.server.faults.add({
    match: ({ operation, range }) => operation === 'GetObject' && startOf(range) > 0,
    effect: { type: 'trickle', bytes: 1, everyMs: 200 },
  });
  const limits = { CACHE_STALL_TIMEOUT: '1', CACHE_TIMEOUT: '20', CACHE_VERBOSE: 'true' };
  const result = await sandbox.run(['restore', ...DEPS], { env: { ...env(), ...limits } });
  expect(cacheLines(expectExit(result, 0))).toContainEqual(
    expect.stringMatching(
      /^Fetched in \d+ ranges.*; second connections for slow ones: 1, of which 1 were faster$/,
    ),
  );
  expect(treeOf(sandbox.project)).toEqual(before);
});
