/**
 * The lineage of an entry says that an install may build on it, and what it takes to judge that from its
 * metadata: how many incremental installs lie behind it, what went into its key beside the lockfile, and a
 * sketch of its packages. An entry that somebody has saved by hand has none.
 *
 * In the metadata: `1 <steps> <digest of the other ingredients> <sketch>`, and its signature where entries
 * are signed.
 */
import type { CheckSignature, Seal, Sign } from '../../archive/types.ts';
import { keyDigest, type KeyIngredients } from '../../key.ts';
import type { Project, Recipe } from '../../recipes/support/recipe.ts';
import type { Subject } from '../identify.ts';
import { isSigned, signatureOf } from '../signing.ts';
import { parseSketch, type Sketch, sketchOf, sketchText } from './sketch.ts';

const LINEAGE = 'sandbox-cache-lineage';
const SIGNATURE = 'sandbox-cache-lineage-signature';

export interface Lineage {
  /** Incremental installs since the last one from nothing. */
  steps: number;
  /** See `othersDigest`. */
  others: string;
  sketch: Sketch;
}

/** How many incremental installs may follow each other before there is one from nothing. */
export const MOST_STEPS = 10;

type About = Omit<Seal, 'installSeconds'>;

/** @returns nothing for a tree that no later install could build on */
export async function lineageMetadata(
  { recipe, project, ingredients }: Subject,
  { steps, sign, seal }: { steps: number; sign: Sign | undefined; seal: About },
): Promise<Record<string, string>> {
  const packages = await packagesOf(recipe, project);
  if (packages === undefined) return {};
  const text = `1 ${steps} ${othersDigest(ingredients)} ${sketchText(sketchOf(packages))}`;
  if (sign === undefined) return { [LINEAGE]: text };
  const { lineageStatement } = await import('../../archive/signature.ts');
  return { [LINEAGE]: text, [SIGNATURE]: signatureOf(lineageStatement(seal, text), sign) };
}

/** What the lockfile asks for, as far as an install can build on an older entry. */
export async function packagesOf(recipe: Recipe, project: Project): Promise<readonly string[] | undefined> {
  return (await recipe.incremental?.())?.packages(project);
}

/**
 * @param check where signatures are asked for
 * @returns undefined where there is none, or none that can be believed
 */
export async function readLineage(
  metadata: Readonly<Record<string, string>>,
  about: About,
  check: CheckSignature | undefined,
): Promise<Lineage | undefined> {
  const { [LINEAGE]: text = '', [SIGNATURE]: signature = '' } = metadata;
  const found = /^1 (\d{1,4}) ([0-9a-f]{16}) ([A-Za-z0-9_-]+)$/.exec(text);
  const sketch = parseSketch(found?.[3] ?? '');
  if (found === null || sketch === undefined) return undefined;
  if (check !== undefined) {
    const { lineageStatement } = await import('../../archive/signature.ts');
    if (!isSigned(lineageStatement(about, text), signature, check)) return undefined;
  }
  return { steps: Number(found[1]), others: found[2]!, sketch };
}

/** Digest of what goes into a key beside the lockfile's contents, 16 hex digits. */
export function othersDigest({ files: [lockfile, ...others], salt, variables }: KeyIngredients): string {
  const nameless = lockfile === undefined ? [] : [{ ...lockfile, sha256: '0'.repeat(64) }];
  return keyDigest({ files: [...nameless, ...others], salt, variables }).slice(0, 16);
}

/** The digest of the key that another version of the lockfile has, all else being equal. */
export function digestWith(
  { files: [lockfile, ...others], ...rest }: KeyIngredients,
  sha256: string,
): string {
  return keyDigest({
    files: [...(lockfile === undefined ? [] : [{ ...lockfile, sha256 }]), ...others],
    ...rest,
  });
}
