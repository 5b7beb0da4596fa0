/**
 * Reads an archive of our own format. If any part of it fails a check, the whole of it counts as not
 * unpacked.
 */
import { corrupt } from '../errors.ts';
import type { Container } from '../format/container.ts';
import type { TrailerRecord } from '../format/record.ts';
import { createLedger } from './ledger.ts';
import { splitArchive, type MemberPart } from './split-archive.ts';
import type { ReadContext } from './read-context.ts';
import { createLargeFiles } from './large-files.ts';
import type { StoredMember } from '../types.ts';
import type { UnpackJob } from '../workers/protocol.ts';
import { latin1 } from '../format/binary-string.ts';

export interface OwnResult {
  tarBytes: number;
  trailer: TrailerRecord;
  members: readonly StoredMember[];
}

/** @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED, and the errors of workers and limits */
export async function readOwn(run: ReadContext, container: Container): Promise<OwnResult> {
  const { reader, crew, tally } = run;
  const ledger = createLedger();
  const files = createLargeFiles();
  let endedIn: number | undefined;

  for await (const part of splitArchive(reader, container)) {
    if (part.kind === 'trailer') {
      await crew.idle();
      files.finish();
      if (endedIn !== ledger.members - 1) throw corrupt('a tar that does not end where the archive does');
      ledger.compare(part.trailer, tally.entries);
      return { tarBytes: ledger.tarBytes, trailer: part.trailer, members: ledger.stored() };
    }
    if (part.kind === 'index') {
      ledger.addIndex(part);
      continue;
    }
    const number = ledger.members;
    const line = ledger.addMember(part);
    tally.checkRatio(ledger.tarBytes, reader.position);
    const job = jobOf(part, run, container);
    const member = part.piece === undefined ? files.data() : files.piece(part, part.piece);
    await crew.submit(
      async () => ({ ...job, ...(await member.prepare()) }),
      (reply) => {
        ledger.complete(line, {
          digest: part.frameLength === 0 ? reply.digest : line.digest,
          firstPath: part.piece === undefined ? reply.firstPath : latin1(part.piece.path),
        });
        if (reply.ended && endedIn !== undefined) throw corrupt('a tar that ends twice');
        if (reply.ended) endedIn = number;
        run.add(reply);
        member.done(reply);
      },
    );
  }
  throw corrupt('no trailer');
}

function jobOf(
  { record, frameLength, tarLength, bytes }: MemberPart,
  run: ReadContext,
  container: Container,
): UnpackJob {
  const own = { compression: container.compression, record, frameLength, tarLength };
  return { type: 'unpack', setup: run.setup, bytes, own };
}
