import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { createS3Store } from '../../../src/store/s3/s3-store.ts';
import { availableServers, describeEachServer } from '../../support/servers.ts';
import { keysOf, pieces, present, readAll, sha256 } from '../contract.ts';
import { createS3Subject, s3Options } from './subject.ts';

const MIB = 1024 * 1024;
const { signal } = new AbortController();

describeEachServer(await availableServers(), (target) => {
  it.each([
    ['one piece', 'small', 30_000],
    ['two parts', 'large', 5 * MIB + 30_000],
  ] as const)('32 savers of one key at once, different entries of %s', async (_, size, bytes) => {
    const subject = await createS3Subject(target());
    const { bucket } = subject;
    const key = `${subject.prefix}cache/npm-0123.tar.gz`;
    const bodies = Array.from({ length: 32 }, () => randomBytes(bytes));
    const outcomes = await Promise.all(
      bodies.map(async (body) => {
        const store = await createS3Store({ ...s3Options(target(), { bucket }), partSize: 5 * MIB });
        const { type } = await store.write(key, pieces(body, MIB), {
          ifExists: 'keep',
          metadata: {},
          signal,
        });
        store.close();
        return type;
      }),
    );
    const saved = outcomes.filter((type) => type === 'saved').length;
    if (subject.oneWinner[size]) expect(saved).toBe(1);
    else expect(saved).toBeGreaterThanOrEqual(1);
    expect(await keysOf(subject.store, subject.prefix)).toEqual([key]);
    expect(bodies.map(sha256)).toContain(sha256(await readAll(await present(subject.store, key))));
    expect(await subject.leftovers()).toBe(0);
    subject.store.close();
  });
});
