/**
 * What a compiled file asks of the dynamic loader, and what it offers to others: its dynamic section, as the
 * System V ABI ("Dynamic Linking") and the Linux Standard Base ("Symbol Versioning") lay it out. Some twenty
 * small reads a file.
 */
import {
  archOf,
  type ElfReader,
  type OpenElf,
  readAt,
  type Segment,
  segmentsOf,
  withElfFile,
} from './elf-header.ts';

export interface DynamicFile {
  /** As `process.arch` names it. */
  arch: string | undefined;
  /** The name that others ask for it by, e.g. `libfoo.so.1`. */
  soname: string | undefined;
  /** Libraries that it needs, by that name. */
  needed: string[];
  /** Symbol versions that it needs, e.g. `GLIBC_2.34` of `libc.so.6`. */
  neededVersions: { library: string; version: string }[];
  /** Symbol versions that it offers. */
  versions: string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_SONAME = 14;
const DT_VERDEF = 0x6ffffffc;
const DT_VERNEED = 0x6ffffffe;

/** Bounds that no real file meets: a bent one must neither fill the memory nor take for ever. */
const MAX_SECTION_BYTES = 64 * 1024;
const MAX_RECORDS = 1000;
const MAX_NAME_BYTES = 256;

/** @returns undefined for anything but a dynamically linked ELF file that can be read */
export function readDynamicFile(path: string | Buffer): DynamicFile | undefined {
  return withElfFile(path, (elf) => {
    const segments = segmentsOf(elf.head, elf.reader);
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
    return dynamic === undefined ? undefined : parse(elf, segments, dynamic);
  });
}

function parse(elf: OpenElf, segments: readonly Segment[], dynamic: Segment): DynamicFile {
  const { reader, head, file } = elf;
  const tags = tagsOf(readAt(file, dynamic.offset, Math.min(dynamic.length, MAX_SECTION_BYTES)), reader);
  const first = (tag: number): number | undefined => tags.find(([found]) => found === tag)?.[1];
  const offsetOf = (address: number): number => {
    const segment = segments.find(
      ({ type, address: start, length }) => type === PT_LOAD && address >= start && address < start + length,
    );
    if (segment === undefined) throw new RangeError(`no segment holds ${address}`);
    return address - segment.address + segment.offset;
  };
  const strings = offsetOf(first(DT_STRTAB) ?? 0);
  const name = (at: number): string => {
    const bytes = readAt(file, strings + at, MAX_NAME_BYTES);
    return bytes.toString('latin1').replace(/\0.*$/s, '');
  };
  const section = (tag: number): Buffer => {
    const address = first(tag);
    return address === undefined ? NOTHING : readAt(file, offsetOf(address), MAX_SECTION_BYTES);
  };
  const soname = first(DT_SONAME);
  return {
    arch: archOf(head, reader),
    soname: soname === undefined ? undefined : name(soname),
    needed: tags.filter(([tag]) => tag === DT_NEEDED).map(([, at]) => name(at)),
    neededVersions: neededVersions(section(DT_VERNEED), reader, name),
    versions: definedVersions(section(DT_VERDEF), reader, name),
  };
}

const NOTHING = Buffer.alloc(0);

/** Pairs of tag and value, up to the first of tag 0. */
function tagsOf(bytes: Buffer, { isWide, word }: ElfReader): [number, number][] {
  const width = isWide ? 8 : 4;
  const tags: [number, number][] = [];
  for (let at = 0; at + 2 * width <= bytes.length; at += 2 * width) {
    const tag = word(bytes, at);
    if (tag === 0) break;
    tags.push([tag, word(bytes, at + width)]);
  }
  return tags;
}

type NameAt = (offset: number) => string;

/**
 * Elf_Verneed: version, count, file, aux, next; each with a chain of Elf_Vernaux: hash, flags, other, name,
 * next.
 */
function neededVersions(
  bytes: Buffer,
  { u32 }: ElfReader,
  name: NameAt,
): { library: string; version: string }[] {
  const found: { library: string; version: string }[] = [];
  for (const at of chain(bytes, u32, { from: 0, next: 12 })) {
    const library = name(u32(bytes, at + 4));
    for (const aux of chain(bytes, u32, { from: at + u32(bytes, at + 8), next: 12 })) {
      if (found.length < MAX_RECORDS) found.push({ library, version: name(u32(bytes, aux + 8)) });
    }
  }
  return found;
}

/**
 * Elf_Verdef: version, flags, index, count, hash, aux, next; the first Elf_Verdaux (name, next) has the name.
 */
function definedVersions(bytes: Buffer, { u32 }: ElfReader, name: NameAt): string[] {
  const offsets = chain(bytes, u32, { from: 0, next: 16 });
  return offsets.map((at) => name(u32(bytes, at + u32(bytes, at + 12))));
}

/** Where the records of a chain begin: each says how far off the next one is, the last one 0. */
function chain(
  bytes: Buffer,
  u32: ElfReader['u32'],
  { from, next }: { from: number; next: number },
): number[] {
  const offsets: number[] = [];
  if (bytes.length === 0) return offsets;
  for (let at = from; offsets.length < MAX_RECORDS;) {
    offsets.push(at);
    const step = u32(bytes, at + next);
    if (step === 0) break;
    at += step;
  }
  return offsets;
}
