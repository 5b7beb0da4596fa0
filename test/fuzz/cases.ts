/**
 * Archives for the fuzzer, from a seed: headers built at random from what has gone wrong in tar programs before, real archives
 * with bytes changed, and forged ones of our own format around either.
 */
import { deflateRawSync, gzipSync } from 'node:zlib';
import { asMembers, forge, forgeParts, type ForgedMember } from '../archive/forge.ts';
import { damage, DAMAGES } from '../archive/damage.ts';
import { END_OF_TAR, gnuLong, paxEntry, rawEntry, rawTar, type RawEntry } from '../archive/tar-blocks.ts';
import type { RandomSource } from '../support/tree.ts';

export interface FuzzCase {
  bytes: Buffer;
  compression: 'gzip' | 'none';
  /** Of the stream. */
  chunk: number;
}

/** @param outside a path that a case may aim at */
export function makeCase(random: RandomSource, sound: readonly ForgedMember[], outside: string): FuzzCase {
  const compression = random.pick(['gzip', 'none'] as const);
  return {
    bytes: makeBytes(random, sound, outside, compression),
    compression,
    chunk: 1 + random.below(4000),
  };
}

function makeBytes(
  random: RandomSource,
  sound: readonly ForgedMember[],
  outside: string,
  compression: 'gzip' | 'none',
): Buffer {
  const kind = random.below(10);
  if (kind < 2) {
    const parts = forgeParts(sound, { compression });
    let { bytes } = damage(parts, random.pick(DAMAGES), random);
    for (let more = random.below(3); more > 0 && bytes.length > 0; more--) bytes = mutate(bytes, random);
    return bytes;
  }
  let tar = kind < 9 ? randomTar(random, outside) : Buffer.concat(sound.map((member) => member.tar));
  for (let more = random.below(4); more > 0; more--) tar = mutate(tar, random);
  if (random.below(3) > 0) return compression === 'none' ? tar : gzipped(tar, random);
  return forgedAround(tar, random, compression);
}

/** Members cut anywhere, with lies in their records now and then. */
function forgedAround(tar: Buffer, random: RandomSource, compression: 'gzip' | 'none'): Buffer {
  if (tar.length < 1024) return forge([{ tar: END_OF_TAR, entries: 0, firstPath: '' }], { compression });
  const members = asMembers(tar, random.below(6), name(random, ''));
  const cut = 512 * random.below(Math.floor(tar.length / 512));
  const [first] = members;
  if (cut > 0 && cut < first!.tar.length && random.below(2) === 0) {
    const piece = {
      path: Buffer.from(name(random, ''), 'latin1'),
      offset: random.pick([0, 512, cut]),
      size: random.pick([0, 1, cut, tar.length]),
      mode: 0o644,
      mtimeUs: 0,
    };
    const rest = { tar: first!.tar.subarray(cut), entries: 0, firstPath: '' };
    members.splice(
      0,
      1,
      { ...first!, tar: first!.tar.subarray(0, cut), open: { piece, pieceLength: 512 } },
      random.below(2) === 0 ? { ...rest, piece } : rest,
    );
  }
  return forge(
    members.filter((member) => member.tar.length > 0),
    {
      compression,
      trailer: (trailer) =>
        random.below(4) > 0 ? {} : { tarBytes: trailer.tarBytes + random.below(3), entries: random.below(9) },
    },
  );
}

function gzipped(tar: Buffer, random: RandomSource): Buffer {
  if (random.below(4) > 0) return gzipSync(tar, { level: 1 });
  const extra = random.bytes(random.below(40));
  const header = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, extra.length, 0]);
  return Buffer.concat([header, extra, deflateRawSync(tar, { level: 1 }), random.bytes(8)]);
}

function randomTar(random: RandomSource, outside: string): Buffer {
  const parts: (RawEntry | Buffer)[] = [];
  for (let count = 1 + random.below(6); count > 0; count--) parts.push(...randomEntry(random, outside));
  const tar = rawTar(...parts);
  return random.below(10) === 0 ? tar.subarray(0, tar.length - random.below(1500)) : tar;
}

function randomEntry(random: RandomSource, outside: string): (RawEntry | Buffer)[] {
  const parts: (RawEntry | Buffer)[] = [];
  if (random.below(6) === 0) parts.push(extension(random, outside));
  if (random.below(20) === 0) parts.push(extension(random, outside));
  const type = random.pick([...'000000512125557', '\0', '3', '6', 'x', 'L', 'g', 'S', 'Z']);
  const link = type === '1' || type === '2';
  const data =
    link || type === '5'
      ? ''
      : random.bytes(random.below(random.pick([1, 20, 600, 3000]))).toString('latin1');
  const entry: RawEntry = {
    type,
    path: name(random, outside),
    linkPath:
      link || random.below(10) === 0
        ? random.pick([outside, '..', '.', name(random, outside), `${outside}/secret`])
        : '',
    data: Buffer.from(data, 'latin1'),
    mode: random.pick([0o644, 0o755, 0, 0o7777, 0o400]),
  };
  if (random.below(15) === 0) entry.size = size(random);
  if (random.below(15) === 0)
    entry.prefix = random.pick(['/', '..', 'node_modules', outside, 'x'.repeat(155)]);
  if (random.below(15) === 0) entry.magic = random.pick(['ustar  \0', '\0', 'ustar\0xx']);
  if (random.below(40) === 0) entry.checksum = '0000000\0';
  return [...parts, entry];
}

function extension(random: RandomSource, outside: string): Buffer {
  const path = name(random, outside);
  switch (random.below(5)) {
    case 0:
      return gnuLong('L', path);
    case 1:
      return gnuLong('K', random.pick([path, outside]));
    case 2:
      return rawEntry({ type: random.pick(['x', 'g']), path: 'x', data: random.bytes(random.below(80)) });
    default:
      return paxEntry(
        {
          [random.pick(['path', 'linkpath', 'size', 'mtime', 'GNU.sparse.size', 'comment', 'path'])]:
            random.pick([path, outside, '', '0', '-1', '99999999999999999999', 'node_modules/p\0q', '12']),
        },
        random.pick(['x', 'x', 'x', 'g']),
      );
  }
}

/** Few different names, so that they meet. */
function name(random: RandomSource, outside: string): string {
  const segment = (): string =>
    random.pick(['a', 'b', 'a', 'link', 'A', '..', '.', '', 'c d', '\xff', 'caf\xc3\xa9']);
  const plain = (): string => random.pick(['a', 'b', 'c', 'link', 'dir']);
  const segments = Array.from({ length: 1 + random.below(4) }, random.below(5) === 0 ? segment : plain).join(
    '/',
  );
  const kind = random.below(20);
  if (kind === 0) return `${outside}/${segments}`;
  if (kind === 1) return segments;
  if (kind === 2) return `node_modules/${'d/'.repeat(random.below(600))}x`;
  if (kind === 3) return 'node_modules';
  return `${random.pick(['node_modules', 'node_modules', 'node_modules', './node_modules'])}/${segments}${random.below(8) === 0 ? '/' : ''}`;
}

function size(random: RandomSource): number | string | Buffer {
  return random.pick<number | string | Buffer>([
    0,
    1,
    511,
    513,
    0o77777777777,
    '-0000000001',
    'zzzzzzzzzzz',
    Buffer.alloc(12, 0xff),
    Buffer.from('800000000000000000001000', 'hex'),
    Buffer.from('80ffffffffffffffffffffff', 'hex'),
  ]);
}

function mutate(bytes: Buffer, random: RandomSource): Buffer {
  if (bytes.length === 0) return bytes;
  const changed = Buffer.from(bytes);
  const at = random.below(changed.length);
  const block = 512 * random.below(Math.ceil(changed.length / 512));
  switch (random.below(7)) {
    case 0:
      changed[at]! ^= 1 << random.below(8);
      return changed;
    case 1:
      changed[at] = random.pick([0, 0x2f, 0x2e, 0x20, 0x30, 0xff]);
      return changed;
    case 2:
      return changed.subarray(0, at);
    case 3:
      return Buffer.concat([changed.subarray(0, block), changed.subarray(block + 512)]);
    case 4:
      return Buffer.concat([changed.subarray(0, block + 512), changed.subarray(block)]);
    case 5:
      return Buffer.concat([changed.subarray(0, at), random.bytes(random.below(20)), changed.subarray(at)]);
    default:
      changed.fill(random.pick([0, 0xff]), at, Math.min(changed.length, at + random.below(600)));
      return changed;
  }
}
