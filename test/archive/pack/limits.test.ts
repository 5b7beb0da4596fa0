/** What a restore would keep until the end of an archive is bounded, so packing stops at the same bounds. */
import { describe, expect, it } from 'vitest';
import { createPackLimits, type PackLimits } from '../../../src/archive/pack/limits.ts';
import { LIMITS } from '../unpacking.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../src/archive/pack/stat.ts';
import { SHARED } from '../../../src/archive/workers/protocol.ts';

const MIB = 1024 * 1024;
const TOO_MUCH = expect.objectContaining({ code: 'ARCHIVE_LIMIT' });
const digest = new Uint8Array(32);

function limitsOf(): PackLimits {
  return createPackLimits(LIMITS, 2 * MIB);
}

function addMember(limits: PackLimits, nameLength = 1): void {
  limits.addMember({
    frameLength: 100,
    storedLength: 1000,
    tarLength: 2000,
    digest,
    firstPath: new Uint8Array(nameLength),
  });
}

/** A directory with one entry in it, of a name as long as names in one directory may be together. */
function addEntry(
  limits: PackLimits,
  mode: number,
  rest: { inode?: string; linkTarget?: string } = {},
): void {
  limits.addListing('dir', {
    names: ['n'.repeat(MIB)],
    stats: Float64Array.of(mode, 10, 0, 0, 0),
    inodes: rest.inode === undefined ? [] : [rest.inode],
    linkTargets: rest.linkTarget === undefined ? [] : [rest.linkTarget],
  });
}

describe('packing stops at', () => {
  it('members by the hundred thousand', () => {
    const limits = limitsOf();
    for (let n = 0; n < 200_000; n++) addMember(limits);
    expect(() => addMember(limits)).toThrow(TOO_MUCH);
  });

  it('an index by the megabyte: a name counts where it is first met and in the index', () => {
    const limits = limitsOf();
    for (let n = 0; n < 31; n++) addMember(limits, MIB);
    expect(() => addMember(limits, MIB)).toThrow(TOO_MUCH);
  });

  it('names of directories by the megabyte', () => {
    const limits = limitsOf();
    for (let n = 0; n < 63; n++) addEntry(limits, S_IFDIR);
    expect(() => addEntry(limits, S_IFDIR)).toThrow(TOO_MUCH);
  });

  it('names and targets of symlinks by the megabyte', () => {
    const limits = limitsOf();
    const addLink = (): void => addEntry(limits, S_IFLNK, { linkTarget: 't'.repeat(MIB) });
    for (let n = 0; n < 31; n++) addLink();
    expect(addLink).toThrow(TOO_MUCH);
  });

  it('names of hard links by the megabyte, not of files', () => {
    const limits = limitsOf();
    for (let n = 0; n < 100; n++) addEntry(limits, S_IFREG);
    for (let n = 0; n < 100; n++) addEntry(limits, S_IFREG | SHARED, { inode: `1:${n}` });
    for (let n = 0; n < 31; n++) addEntry(limits, S_IFREG | SHARED, { inode: '1:1' });
    expect(() => addEntry(limits, S_IFREG | SHARED, { inode: '1:1' })).toThrow(TOO_MUCH);
  });
});
