/** The matrix of the requests around an upload: the look before it, the look at what is there after it, and taking back one that failed. */
import { randomBytes } from 'node:crypto';
import { beforeEach, afterEach, describe, expect, it } from 'vitest';
import { createS3Store } from '../../../src/store/s3/s3-store.ts';
import type { Store } from '../../../src/store/store.ts';
import type { FaultEffect, LoggedRequest } from '../../support/s3-server.ts';
import { pieces, sha256 } from '../contract.ts';
import {
  denied,
  FOREVER,
  internal,
  KEY,
  MIB,
  outcomeOf,
  slowDown,
  useScene,
  type Outcome,
} from './faults.ts';
import { s3Options } from './subject.ts';

const scene = useScene();
const { signal } = new AbortController();
const small = randomBytes(600_000);
const large = randomBytes(5 * MIB + 100_000);

const FAULTS: [string, FaultEffect, number, Outcome][] = [
  ['reset', { type: 'reset' }, 2, 'recovered'],
  ['reset', { type: 'reset' }, FOREVER, 'STORE_UNREACHABLE'],
  ['stall', { type: 'stall' }, 1, 'recovered'],
  ['stall', { type: 'stall' }, FOREVER, 'STORE_STALLED'],
  ['500', internal, 2, 'recovered'],
  ['500', internal, FOREVER, 'STORE_FAILED'],
  ['503 SlowDown', slowDown, 6, 'recovered'],
  ['503 SlowDown', slowDown, FOREVER, 'STORE_BUSY'],
  ['403', denied, FOREVER, 'STORE_ACCESS_DENIED'],
];

const stored = (): Buffer | undefined => scene.server.read('test-bucket', KEY);
const isLook = ({ operation }: LoggedRequest): boolean => /^(Get|Head)Object$/.test(operation);
const write = (store: Store, body: Buffer) =>
  store.write(KEY, pieces(body, 500_000), { ifExists: 'keep', metadata: {}, signal });

describe.each(FAULTS)('%s (%#)', (_, effect, times, outcome) => {
  it(`at the look before: ${outcome}`, async () => {
    // Else a denial is a miss: the listing shows that nothing is there.
    scene.server.place('test-bucket', { key: KEY, body: small });
    scene.server.faults.add({ match: isLook, effect, times });
    expect(await outcomeOf(() => scene.store.stat(KEY, { signal }))).toBe(outcome);
  });

  it.each([
    ['one part', small],
    ['two', large],
  ])('at the look after an upload of %s: it is saved', async (_parts, body) => {
    scene.server.faults.add({ match: (request) => isLook(request) && stored() !== undefined, effect, times });
    expect(await write(scene.store, body)).toMatchObject({ type: 'saved', size: body.length });
    if (times !== FOREVER) expect(scene.server.faults.left).toBe(0);
    expect(sha256(stored()!)).toBe(sha256(body));
    expect(scene.server.bucket().uploads.size).toBe(0);
  });

  describe('taking back', () => {
    const warnings: string[] = [];
    let store: Store;
    beforeEach(async () => {
      warnings.length = 0;
      store = await createS3Store({
        ...s3Options(scene.server, { bucket: 'test-bucket' }),
        partSize: 5 * MIB,
        stallTimeoutMs: 500,
        retryDelayMs: 1,
        emit: (event) => event.type === 'warning' && warnings.push(event.message),
      });
    });
    afterEach(() => store.close());

    it('tells the first reason, and leaves nothing or says so', async () => {
      const { faults } = scene.server;
      faults.add({ match: ({ operation }) => operation === 'AbortMultipartUpload', effect, times });
      faults.add({ match: ({ operation }) => operation === 'UploadPart', effect: denied, times: FOREVER });
      expect(await outcomeOf(() => write(store, large))).toBe('STORE_ACCESS_DENIED');
      const isLeft = outcome !== 'recovered';
      expect(scene.server.bucket().uploads.size).toBe(isLeft ? 1 : 0);
      expect(warnings).toEqual(isLeft ? [expect.stringContaining('could not be removed')] : []);
      expect(stored()).toBeUndefined();
    });
  });
});
