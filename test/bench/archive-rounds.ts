/** Packing and unpacking one corpus: ours and every rival, each as a process of its own, in the same rounds. */
import { mkdirSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sizeOf, type Corpus, type TreeSize } from './corpus/corpus.ts';
import type { Drivers } from './drivers/build.ts';
import type { Machine, Tool } from './machine.ts';
import { shell, type Command } from './measure.ts';
import type { Options } from './options.ts';
import { driverCommand, variants, type Variant } from './ours.ts';
import { PACKERS, UNPACKERS, type Rival } from './rivals.ts';
import { runRounds, type Contender, type Series } from './rounds.ts';

export interface Bench {
  options: Options;
  machine: Machine;
  drivers: Drivers;
  zstdNode: string | undefined;
  /** Ours alone, cleared by main.ts. */
  scratch: string;
  log: (line: string) => void;
}

export async function archiveRounds(bench: Bench, corpus: Corpus): Promise<Series[]> {
  const place = join(bench.scratch, `archives-${corpus.name}`);
  mkdirSync(place);
  const own = variants(bench.options, bench.zstdNode);
  const packers = [...ownPackers(bench, corpus, place, own), ...rivalPackers(bench, corpus, place)];
  const packed = await runRounds(packers, bench.options.runs, bench.log);
  const unpackers = [...ownUnpackers(bench, corpus, place, own), ...rivalUnpackers(bench, corpus, place)];
  const unpacked = await runRounds(unpackers, bench.options.runs, bench.log);
  await rm(place, { recursive: true });
  return [...packed, ...unpacked];
}

function ownPackers({ drivers }: Bench, corpus: Corpus, place: string, own: readonly Variant[]): Contender[] {
  return own.map((variant) => {
    const archive = join(place, `${variant.id}${variant.extension}`);
    const { compression, workers, level } = variant;
    const { dir, roots } = corpus;
    return {
      ...packer(corpus, archive, variant),
      ours: true,
      command: () =>
        driverCommand(drivers, variant.node, {
          operation: 'pack',
          archive,
          dir,
          roots,
          compression,
          workers,
          ...(level === undefined ? {} : { level }),
        }),
    };
  });
}

function rivalPackers(bench: Bench, corpus: Corpus, place: string): Contender[] {
  return rivalsHere(bench, PACKERS).map((rival) => {
    const archive = join(place, `${rival.id}${rival.extension}`);
    const command = () => rivalCommand(bench, rival, { archive, cwd: corpus.dir, roots: corpus.roots });
    return { ...packer(corpus, archive, rival), command };
  });
}

function packer(corpus: Corpus, archive: string, { id, label }: { id: string; label: string }) {
  return {
    id: `${corpus.name}/pack/${id}`,
    label,
    before: () => rm(archive, { force: true }),
    after: () => Promise.resolve({ storedBytes: statSync(archive).size }),
  };
}

function ownUnpackers(bench: Bench, corpus: Corpus, place: string, own: readonly Variant[]): Contender[] {
  const { options, drivers } = bench;
  const opened = own.map((variant) => ({
    variant,
    archive: `${variant.id}${variant.extension}`,
    foreign: false,
  }));
  const tarGzip = rivalsHere(bench, PACKERS).find(({ id }) => id === 'tar-gzip');
  // What someone else's archive costs here, the old library's above all.
  for (const variant of own.filter(({ id }) => /^ours-gzip-\d+$/.test(id)))
    if (tarGzip !== undefined && !options.oursOnly)
      opened.push({
        variant: {
          ...variant,
          id: variant.id.replace('ours-', 'ours-foreign-'),
          label: `${variant.label}, of \`tar\`'s archive`,
        },
        archive: `${tarGzip.id}${tarGzip.extension}`,
        foreign: true,
      });
  return opened.map(({ variant, archive, foreign }) => {
    const out = join(place, 'unpacked');
    const { compression, workers, node } = variant;
    const job = {
      operation: 'unpack',
      archive: join(place, archive),
      dir: out,
      roots: corpus.roots,
    } as const;
    return {
      ...unpacker(corpus, out, variant),
      ours: true,
      command: () => driverCommand(drivers, node, { ...job, compression, workers, foreign }),
    };
  });
}

function rivalUnpackers(bench: Bench, corpus: Corpus, place: string): Contender[] {
  return rivalsHere(bench, UNPACKERS).map((rival) => {
    const made = PACKERS.find(({ id }) => id === rival.from);
    const archive = join(place, `${rival.from}${made?.extension}`);
    const out = join(place, 'unpacked');
    return {
      ...unpacker(corpus, out, rival),
      before: async () => {
        await rm(out, { recursive: true, force: true });
        mkdirSync(out);
      },
      command: () => rivalCommand(bench, rival, { archive, cwd: out, roots: [] }),
    };
  });
}

function unpacker(corpus: Corpus, out: string, { id, label }: { id: string; label: string }) {
  return {
    id: `${corpus.name}/unpack/${id}`,
    label,
    before: () => rm(out, { recursive: true, force: true }),
    after: async (round: number) => {
      if (round === 0) await expectWhole(corpus, out);
      await rm(out, { recursive: true });
      return {};
    },
  };
}

/** A contender that lost files must not win. */
export async function expectWhole(corpus: Corpus, out: string): Promise<void> {
  const found = await sizeOf(corpus.roots.map((root) => join(out, root)));
  const names = Object.keys(corpus.tree) as (keyof TreeSize)[];
  for (const name of names)
    if (found[name] !== corpus.tree[name])
      throw new Error(`corpus ${corpus.name}: ${found[name]} ${name} came back of ${corpus.tree[name]}`);
}

function rivalsHere<R extends Rival>({ machine, options }: Bench, rivals: readonly R[]): R[] {
  if (options.oursOnly) return [];
  const here = (tool: Tool) => machine.tools[tool] !== undefined;
  return rivals.filter(({ needs }) => needs.every(here));
}

function rivalCommand(
  { drivers }: Bench,
  rival: Rival,
  { archive, cwd, roots }: { archive: string; cwd: string; roots: readonly string[] },
): Command {
  const env = { archive, roots: roots.join(' '), node: process.execPath, nodeTar: drivers.nodeTar };
  return { ...shell(rival.script, cwd), env };
}
