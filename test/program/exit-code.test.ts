import { describe, expect, it } from 'vitest';
import { CacheError } from '../../src/errors.ts';
import { combinedCode, errorCode, outcomeCode } from '../../src/program/exit-code.ts';
import type { OutcomeDetail } from '../../src/session/outcome.ts';

const ENTRY = {
  key: 'cache/npm-0123456789abcdef.tar.gz',
  url: 's3://bucket/cache/npm-0123456789abcdef.tar.gz',
};

function codeOf(detail: OutcomeDetail, command = 'restore', isDetected = false): number {
  return outcomeCode({ recipe: 'npm', label: 'npm', isDetected, ...detail }, command, errorCode);
}

describe('the exit code of an outcome', () => {
  it('is 0 for what is there, 1 for what is not, and 4 for what did not verify', () => {
    expect(codeOf({ type: 'in-place', key: ENTRY.key })).toBe(0);
    expect(codeOf({ type: 'nothing-needed' })).toBe(0);
    expect(codeOf({ type: 'miss', ...ENTRY })).toBe(1);
    expect(codeOf({ type: 'no-lockfile', lockfiles: ['package-lock.json'] })).toBe(1);
    expect(codeOf({ type: 'unverified', reason: 'a package is missing', blame: 'entry', ...ENTRY })).toBe(4);
  });

  it('lets a save pass where caching is off, but not a restore', () => {
    const off = { type: 'off', reason: 'CACHE_S3_BUCKET is not set' } as const;
    expect([codeOf(off, 'save'), codeOf(off, 'restore')]).toEqual([0, 1]);
  });

  it('blames nobody for an empty tree that was only detected', () => {
    const nothing = { type: 'nothing-installed', targets: ['node_modules'] } as const;
    expect([codeOf(nothing, 'save', true), codeOf(nothing, 'save')]).toEqual([0, 1]);
  });

  it("is the installer's own under ensure, and a failure elsewhere", () => {
    const failed = { type: 'install-failed', status: 77, command: 'npm ci' } as const;
    expect([codeOf(failed, 'ensure'), codeOf(failed, 'warm')]).toEqual([77, 3]);
  });
});

describe('the exit code of an error', () => {
  it('follows from its kind', () => {
    expect(errorCode(new CacheError('USAGE', 'no such flag'))).toBe(2);
    expect(errorCode(new CacheError('DISK_FULL', 'the disk is full'))).toBe(3);
  });

  it('is that of the signal that interrupted the run', () => {
    const error = new CacheError('INTERRUPTED', 'stopped');
    expect([errorCode(error, 'SIGINT'), errorCode(error, 'SIGHUP'), errorCode(error)]).toEqual([
      130, 129, 143,
    ]);
  });
});

describe('several recipes in one run', () => {
  it('come to 0 when all of them do, or there are none', () => {
    expect([combinedCode([]), combinedCode([0, 0])]).toEqual([0, 0]);
  });

  it('come to the strongest code, wherever it stands', () => {
    const weakestFirst = [0, 1, 4, 3, 2, 143, 129, 130];
    for (const [place, code] of weakestFirst.entries()) {
      const upTo = weakestFirst.slice(0, place + 1);
      expect(combinedCode(upTo)).toBe(code);
      expect(combinedCode(upTo.toReversed())).toBe(code);
    }
  });

  it("come to an installer's own code rather than to 0", () => {
    expect(combinedCode([0, 77])).toBe(77);
  });
});
