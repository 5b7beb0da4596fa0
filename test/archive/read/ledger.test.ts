/** What is kept until the end of an archive is bounded, whatever the archive says of itself. */
import { describe, expect, it } from 'vitest';
import { createLedger, type Ledger, type LedgerLine } from '../../../src/archive/read/ledger.ts';
import type { IndexedMember } from '../../../src/archive/format/record.ts';

const MIB = 1024 * 1024;
const LIMIT = expect.objectContaining({ code: 'ARCHIVE_LIMIT' });
const digest = new Uint8Array(32);

function addMember(ledger: Ledger): LedgerLine {
  const record = new Uint8Array(42);
  return ledger.addMember({
    kind: 'member',
    record,
    frameLength: 58,
    tarLength: 512,
    piece: undefined,
    bytes: Buffer.alloc(60),
  });
}

function addIndex(ledger: Ledger, bytes: number, members: IndexedMember[] = []): void {
  const index = { kind: 'index', digest, first: 0, members } as const;
  ledger.addIndex({ kind: 'index', offset: 0, record: new Uint8Array(bytes), index });
}

describe('a ledger refuses', () => {
  it('members by the hundred thousand', () => {
    const ledger = createLedger();
    for (let n = 0; n < 200_000; n++) addMember(ledger);
    expect(() => addMember(ledger)).toThrow(LIMIT);
  });

  it('names by the megabyte', () => {
    const ledger = createLedger();
    const name = (): void => ledger.complete(addMember(ledger), { digest, firstPath: 'n'.repeat(MIB) });
    for (let n = 0; n < 64; n++) name();
    expect(name).toThrow(LIMIT);
  });

  it('an index by the megabyte', () => {
    const ledger = createLedger();
    for (let n = 0; n < 100; n++) addMember(ledger);
    for (let n = 0; n < 64; n++) addIndex(ledger, MIB);
    expect(() => addIndex(ledger, MIB)).toThrow(LIMIT);
  });

  it('an index of more members than came', () => {
    const ledger = createLedger();
    addMember(ledger);
    const member = { frameLength: 58, storedLength: 2, tarLength: 512, digest, firstPath: digest };
    addIndex(ledger, 200, [member]);
    const corrupt = expect.objectContaining({ code: 'ARCHIVE_CORRUPT' });
    expect(() => addIndex(ledger, 200, [member])).toThrow(corrupt);
  });
});
