/**
 * Fault × phase × outcome, on a real server that misbehaves as it is told. An outcome is `recovered` (the caller never
 * notices) or the code of the error; in both cases nothing is left behind, and since every wait is bounded by the stall limit
 * and a number of attempts, the suite's own timeout is the bound on time.
 */
import { afterEach, beforeEach } from 'vitest';
import type { ErrorCode } from '../../../src/errors.ts';
import { createS3Store } from '../../../src/store/s3/s3-store.ts';
import type { Store } from '../../../src/store/store.ts';
import { startS3Server, type FaultEffect, type S3Server } from '../../support/s3-server.ts';
import { s3Options } from './subject.ts';

export const MIB = 1024 * 1024;
export const KEY = 'cache/npm-0123.tar.gz';
export const FOREVER = 1000;
export type Outcome = 'recovered' | ErrorCode;

export interface Scene {
  server: S3Server;
  store: Store;
}

/** A server and a store with short waits, new for each test. */
export function useScene(): Scene {
  const scene = {} as Scene;
  beforeEach(async () => {
    scene.server = await startS3Server();
    scene.store = await createS3Store({
      ...s3Options(scene.server, { bucket: 'test-bucket' }),
      rangeSize: MIB,
      partSize: 5 * MIB,
      stallTimeoutMs: 500,
      retryDelayMs: 1,
    });
  });
  afterEach(async () => {
    scene.store.close();
    await scene.server.close();
  });
  return scene;
}

export const slowDown: FaultEffect = { type: 'error', status: 503, code: 'SlowDown' };
export const internal: FaultEffect = { type: 'error', status: 500, code: 'InternalError' };
export const expired: FaultEffect = { type: 'error', status: 400, code: 'ExpiredToken' };
export const denied: FaultEffect = { type: 'error', status: 403, code: 'AccessDenied' };

export type FaultCase<O = Outcome> = [
  what: string,
  operation: string,
  effect: FaultEffect,
  times: number,
  outcome: O,
];

/** What becomes of a request of an upload, whichever it is, when a fault passes, and when it stays. */
export function faultsAnywhere(operation: string): FaultCase[] {
  return [
    ['reset', operation, { type: 'reset' }, 2, 'recovered'],
    ['reset', operation, { type: 'reset' }, FOREVER, 'STORE_UNREACHABLE'],
    ['stall', operation, { type: 'stall' }, 1, 'recovered'],
    ['stall', operation, { type: 'stall' }, FOREVER, 'STORE_STALLED'],
    ['500', operation, internal, 2, 'recovered'],
    ['500', operation, internal, FOREVER, 'STORE_FAILED'],
    ['503 SlowDown, a burst', operation, slowDown, 6, 'recovered'],
    ['503 SlowDown', operation, slowDown, FOREVER, 'STORE_BUSY'],
    ['expired token, renewed', operation, expired, 1, 'recovered'],
    ['expired token', operation, expired, FOREVER, 'STORE_BAD_CREDENTIALS'],
    ['web page', operation, { type: 'html', status: 403 }, FOREVER, 'STORE_NOT_S3'],
    ['slow answer', operation, { type: 'delay', ms: 50 }, FOREVER, 'recovered'],
  ];
}

export async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    await work();
    return 'recovered';
  } catch (error) {
    if (error instanceof Error && error.name === 'CacheError')
      return (error as Error & { code: ErrorCode }).code;
    throw error;
  }
}

/** `bytes=1048576-2097151` → 1048576 */
export function startOf(range: string | undefined): number {
  return Number(range?.split(/[=-]/)[1]);
}
