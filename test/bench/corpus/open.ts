/** Makes corpora on demand. */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measure, shell } from '../measure.ts';
import type { CorpusName } from '../options.ts';
import { bigFileCorpus } from './big-file.ts';
import { sizeOf, type Corpus, type CorpusSource } from './corpus.ts';
import { largeCorpus } from './large.ts';
import { smallCorpus } from './small.ts';
import { vendorCorpus } from './vendor.ts';

const SOURCES: Record<CorpusName, CorpusSource> = {
  S: smallCorpus,
  L: largeCorpus,
  B: bigFileCorpus,
  V: vendorCorpus,
};

export interface Places {
  corporaDir: string;
  scratch: string;
  log: (line: string) => void;
}

/** Makes the corpus if it is not there yet and copies it to the scratch directory. @returns undefined when it cannot be made here */
export async function openCorpus(
  name: CorpusName,
  { corporaDir, scratch, log }: Places,
): Promise<Corpus | undefined> {
  const source = SOURCES[name];
  const kept = join(corporaDir, `${name}-${source.version}`);
  if (!existsSync(kept)) {
    log(`making corpus ${name}: ${source.title}`);
    const unfinished = `${kept}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    try {
      await source.make(unfinished);
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      log(`corpus ${name} is not measured: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
    await rename(unfinished, kept);
  }
  const dir = join(scratch, `corpus-${name}`);
  await measure(shell(`cp -a '${kept}' '${dir}'`));
  const { title, roots, lockfiles, recipe } = source;
  const tree = await sizeOf(roots.map((root) => join(dir, root)));
  return { name, title, dir, roots, lockfiles, recipe, tree };
}
