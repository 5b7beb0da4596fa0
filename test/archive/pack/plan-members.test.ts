import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerLength, paddedLength } from '../../../src/archive/format/tar-header.ts';
import { planMembers } from '../../../src/archive/pack/plan-members.ts';
import { type SourceEntry, ENTRY_FIELDS, type MemberPlan } from '../../../src/archive/workers/protocol.ts';

const LENGTH = 64 * 1024;

function file(path: string, size: number): SourceEntry {
  return {
    type: '0',
    path,
    linkPath: '',
    mode: 0o644,
    size,
    mtimeUs: 0,
    ctimeUs: 0,
    inode: 0,
    hasMadeTime: false,
  };
}

function plan(sizes: readonly number[]): MemberPlan[] {
  return [...planMembers([sizes.map((size, n) => file(`${n}`, size))], LENGTH)];
}

describe('members', () => {
  it('hold whole entries, or pieces that follow each other, in the order of the tree', () => {
    const size = fc.oneof(fc.nat(LENGTH / 4), fc.nat(4 * LENGTH), fc.constantFrom(...edges()));
    fc.assert(
      fc.property(fc.array(size, { maxLength: 30 }), (sizes) => {
        const plans = plan(sizes);
        expect(readBack(plans)).toEqual(sizes);
        const tar = sizes.reduce((sum, bytes) => sum + 512 + paddedLength(bytes), 1024);
        expect(plans.reduce((sum, member) => sum + member.tarLength, 0)).toBe(tar);
        for (const member of plans) expect(member.tarLength).toBeLessThanOrEqual(LENGTH);
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  it('are few: small files share one, and a large one begins in it', () => {
    expect(plan([100, 100, 100]).map((member) => member.kind)).toEqual(['data', 'end']);
    expect(plan([100, 3 * LENGTH]).map((member) => member.kind)).toEqual([
      'data',
      'piece',
      'piece',
      'piece',
      'end',
    ]);
    expect(plan([]).map((member) => member.kind)).toEqual(['end']);
  });

  it('end where a section ends, however little is in them', () => {
    const sections = [[file('a', 100)], [file('b', 100), file('c', 2 * LENGTH)], [], [file('d', 1)]];
    const plans = [...planMembers(sections, LENGTH)];
    expect(plans.map(({ kind, firstPath }) => `${kind} ${firstPath}`)).toEqual([
      'data a',
      'data b',
      'piece c',
      'piece c',
      'data d',
      'end ',
    ]);
  });

  it('know the offset of every piece of a file beyond 8 GiB', () => {
    const size = 2 ** 33 + 5;
    let next: number | undefined;
    let last: MemberPlan | undefined;
    for (const member of planMembers([[file('huge', size)]], 2 ** 26)) {
      if (member.kind === 'data') next = member.open!.offset;
      if (member.kind !== 'piece') continue;
      expect(member.offset).toBe(next);
      next = member.offset + member.length;
      last = member;
    }
    expect(next).toBe(size);
    expect(last!.tarLength).toBe(paddedLength(size) - (last as { offset: number }).offset);
  });
});

/** Sizes around which the cut changes. */
function edges(): number[] {
  return [
    LENGTH - 513,
    LENGTH - 512,
    LENGTH - 511,
    LENGTH,
    LENGTH + 1,
    2 * LENGTH - 512,
    2 * LENGTH,
    0,
    1,
    512,
  ];
}

/** The size of each file as a reader adds it up. */
function readBack(plans: readonly MemberPlan[]): number[] {
  const sizes: number[] = [];
  let missing = 0;
  for (const member of plans) {
    if (member.kind === 'piece') {
      expect(member.offset).toBe(sizes.at(-1)! - missing);
      missing -= member.length;
      continue;
    }
    expect(missing).toBe(0);
    if (member.kind === 'end') continue;
    let at = 0;
    for (let n = 0; n < member.entries; n++) {
      const size = member.numbers[n * ENTRY_FIELDS + 2]!;
      at += headerLength(file(`${sizes.length}`, size));
      sizes.push(size);
      missing = Math.max(0, size - (member.tarLength - at));
      at += paddedLength(size);
    }
    expect(missing > 0).toBe(member.open !== undefined && member.open.offset < sizes.at(-1)!);
  }
  expect(missing).toBe(0);
  return sizes;
}
