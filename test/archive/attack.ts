/** A target with something worth attacking around it. */
import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { UnpackSummary } from '../../src/archive/types.ts';
import { snapshotTree } from '../support/tree.ts';
import { asMembers, forge, readableEntries } from './forge.ts';
import { rawTar, type RawEntry } from './tar-blocks.ts';
import { expectBothRefuse, listBytes, ROOT, temporaryDir, unpackBytes, type Unpacking } from './unpacking.ts';

export interface Target {
  /** Absolute; a path in an archive may name it. */
  base: string;
  /** Where the root goes: `base/stage/out`. */
  dir: string;
  /** Fails when anything but `stage/out` has changed. */
  expectUntouched(): void;
}

export function makeTarget(): Target {
  const base = temporaryDir();
  mkdirSync(join(base, 'outside', 'dir'), { recursive: true });
  mkdirSync(join(base, 'stage'));
  writeFileSync(join(base, 'outside', 'secret'), 'secret', { mode: 0o600 });
  writeFileSync(join(base, 'stage', 'neighbour'), 'neighbour');
  symlinkSync('outside', join(base, 'way in'));
  const before = snapshot();
  function snapshot(): unknown {
    // The times of the directory that holds the target may change.
    const entries = snapshotTree(base, {
      skip: (path) => path === 'stage/out',
      directoryTimes: false,
    });
    return {
      entries,
      links: statSync(join(base, 'outside', 'secret')).nlink,
      names: readdirSync(join(base, 'outside')),
    };
  }
  return { base, dir: join(base, 'stage', 'out'), expectUntouched: () => expect(snapshot()).toEqual(before) };
}

type Parts = (RawEntry | Buffer)[];

/** The same tar in each form that we read: a plain foreign one, a foreign one in gzip, and forged as one of ours. */
function forms(parts: Parts): { form: string; bytes: Buffer; compression: 'gzip' | 'none' }[] {
  const tar = rawTar(...parts);
  const { entries, firstPath } = readableEntries(tar);
  const isOurs = forge(asMembers(tar, entries, firstPath), { compression: 'gzip' });
  return [
    { form: 'foreign', bytes: tar, compression: 'none' },
    { form: 'foreign, gzip', bytes: gzipSync(tar), compression: 'gzip' },
    { form: 'ours, forged', bytes: isOurs, compression: 'gzip' },
  ];
}

export interface Refusal {
  code: string;
  /** Part of the message, such as the entry's name. */
  message?: string;
  options?: Partial<Unpacking>;
}

/** Every form of the archive is refused with that code, by `inspect` too, and nothing outside the target changes. */
export async function expectRefused(
  parts: (target: Target) => Parts,
  { code, message = '', options }: Refusal,
): Promise<void> {
  const target = makeTarget();
  for (const [n, { form, bytes, compression }] of forms(parts(target)).entries()) {
    const dir = join(target.dir, String(n));
    mkdirSync(target.dir, { recursive: true });
    const refusal = { what: form, code, message: expect.stringContaining(message) };
    await expectBothRefuse(bytes, { ...options, compression, dir }, refusal);
    target.expectUntouched();
  }
}

/** Every form is unpacked, and listed, and nothing outside the target changes. */
export async function expectContained(
  parts: (target: Target) => Parts,
  check: (dir: string, summary: UnpackSummary) => void = () => {},
): Promise<void> {
  const target = makeTarget();
  for (const [n, { bytes, compression }] of forms(parts(target)).entries()) {
    const dir = join(target.dir, String(n));
    mkdirSync(target.dir, { recursive: true });
    check(dir, await unpackBytes(bytes, { compression, dir }));
    await listBytes(bytes, { compression });
    target.expectUntouched();
  }
}

export const inRoot = (path: string): string => `${ROOT}/${path}`;
