/**
 * The same matrix for what can go wrong before a server is reached, in the middle of a transfer: the name is gone, or somebody
 * else answers. The request in question is never carried out.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createS3Store } from '../../../src/store/s3/s3-store.ts';
import type { Store } from '../../../src/store/store.ts';
import { startFront, type Front } from '../../support/front.ts';
import { startS3Server, type LoggedRequest, type S3Server } from '../../support/s3-server.ts';
import { pieces, present, readAll, sha256 } from '../contract.ts';
import { FOREVER, KEY, MIB, outcomeOf, startOf, type Outcome } from './faults.ts';
import { s3Options } from './subject.ts';

let server: S3Server;
let front: Front;
let store: Store;
let folder: string;
let warnings: string[];

beforeEach(async () => {
  server = await startS3Server({ tls: true });
  front = await startFront(server.port);
  folder = mkdtempSync(join(tmpdir(), 'sandbox-cache-way-'));
  warnings = [];
  const caBundle = join(folder, 'ca.pem');
  writeFileSync(caBundle, server.certificate!);
  store = await createS3Store({
    ...s3Options(server, { bucket: 'test-bucket' }),
    endpoint: front.endpoint,
    caBundle,
    rangeSize: MIB,
    partSize: 5 * MIB,
    // Nothing here stalls; a handshake may take long on a busy machine.
    stallTimeoutMs: 10_000,
    retryDelayMs: 1,
    emit: (event) => event.type === 'warning' && warnings.push(event.message),
  });
});
afterEach(async () => {
  store.close();
  await front.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const FAULTS: [string, number, Outcome, (times: number) => void][] = [
  ['the name does not resolve', 1, 'recovered', (times) => front.loseName(times)],
  ['the name does not resolve', FOREVER, 'STORE_UNREACHABLE', (times) => front.loseName(times)],
  ['the handshake breaks off', 3, 'recovered', (times) => front.meet('hangs up', times)],
  ['the handshake breaks off', FOREVER, 'STORE_UNREACHABLE', (times) => front.meet('hangs up', times)],
  ['a certificate nobody vouches for', FOREVER, 'STORE_TLS', (times) => front.meet('stranger', times)],
  ['no TLS', 1, 'recovered', (times) => front.meet('no TLS', times)],
  ['no TLS', FOREVER, 'STORE_TLS', (times) => front.meet('no TLS', times)],
  ['garbled TLS', 1, 'recovered', (times) => front.meet('garbles', times)],
  ['garbled TLS', FOREVER, 'STORE_TLS', (times) => front.meet('garbles', times)],
];

/** Requests that match are cut off with their connection: the first, or, for a fault that stays, all that still get through. */
function strike(
  times: number,
  match: (request: LoggedRequest) => boolean,
  run: (times: number) => void,
): void {
  server.faults.add({
    match,
    times: times === FOREVER ? FOREVER : 1,
    effect: {
      type: 'before',
      run: () => {
        run(times);
        return new Promise<void>(() => {});
      },
    },
  });
}

describe.each(FAULTS)('%s (%i×): %s', (_, times, outcome, fault) => {
  it.each([
    ['the first range', 0],
    ['a later range', 3 * MIB],
  ])('at %s of a download', async (_phase, from) => {
    const data = randomBytes(6 * MIB + 123);
    server.place('test-bucket', { key: KEY, body: data });
    strike(times, ({ operation, range }) => operation === 'GetObject' && startOf(range) >= from, fault);
    const read = async (): Promise<void> =>
      expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));
    expect(await outcomeOf(read)).toBe(outcome);
    expect(server.faults.left).toBeLessThan(times === FOREVER ? FOREVER : 1);
  });

  it.each([600_000, 5 * MIB + 100_000])(
    'at the look after an upload of %i bytes: it is saved',
    async (size) => {
      const data = randomBytes(size);
      const stored = (): Buffer | undefined => server.read('test-bucket', KEY);
      strike(times, ({ operation }) => operation === 'GetObject' && stored() !== undefined, fault);
      const { signal } = new AbortController();
      const options = { ifExists: 'keep', metadata: {}, signal } as const;
      expect(await store.write(KEY, pieces(data, 500_000), options)).toMatchObject({ type: 'saved', size });
      expect(server.faults.left).toBeLessThan(times === FOREVER ? FOREVER : 1);
      expect(sha256(stored()!)).toBe(sha256(data));
      expect(server.bucket().uploads.size).toBe(0);
      expect(warnings).toEqual([]);
    },
  );

  it.each(['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'])(
    'at %s',
    async (operation) => {
      const data = randomBytes(operation === 'PutObject' ? 600_000 : 5 * MIB + 100_000);
      strike(times, (request) => request.operation === operation, fault);
      const { signal } = new AbortController();
      const options = { ifExists: 'keep', metadata: {}, signal } as const;
      expect(await outcomeOf(() => store.write(KEY, pieces(data, 500_000), options))).toBe(outcome);
      expect(server.faults.left).toBeLessThan(times === FOREVER ? FOREVER : 1);
      const stored = server.read('test-bucket', KEY);
      if (outcome === 'recovered') expect(sha256(stored!)).toBe(sha256(data));
      else expect(stored).toBeUndefined();
      // Where nobody can be reached, there is nobody to abort an upload at.
      const left = outcome !== 'recovered' && /^(UploadPart|Complete)/.test(operation);
      expect(server.bucket().uploads.size).toBe(left ? 1 : 0);
      expect(warnings).toEqual(left ? [expect.stringContaining('could not be removed')] : []);
    },
  );
});
