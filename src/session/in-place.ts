/** Receipts: which entry is in place, where it comes from, and whether that is enough. */
import type { Config } from '../config/config.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import { readReceipt, writeReceipts, type Origin, type Receipt } from '../workspace/notes/receipt.ts';
import { isFitHere, lackedInPlace } from './fit.ts';
import type { Subject } from './identify.ts';
import type { Session } from './session.ts';
import { verify } from './verify.ts';
import { witness } from './witness.ts';
import { withDeadline } from './deadline.ts';

/**
 * Whether this very entry is in place, nobody has installed over it since, and it is one that would still be
 * restored. If verification is cheap, the tree is checked as well, because removing a package does not change
 * the receipt.
 */
export async function isInPlace(session: Session, subject: Subject): Promise<boolean> {
  if (!(await isConfirmed(session.config, subject))) return false;
  const { recipe, project } = subject;
  const verdict = await withDeadline(session, `Verifying ${recipe.name}`, async (signal) => {
    const isAsked =
      recipe.verifiesQuickly === true || (await recipe.looksDamaged?.(project, signal)) === true;
    return isAsked ? verify(subject, signal) : undefined;
  });
  if (verdict?.ok !== false) return true;
  session.emit({ type: 'warning', message: `What was restored is not whole any more: ${verdict.reason}` });
  return false;
}

/** Whether the receipts say so. */
export async function isConfirmed(config: Config, subject: Subject): Promise<boolean> {
  const receipt = readReceipt(subject.project.dir, subject.recipe.mainTarget);
  if (receipt === undefined || receipt.witness === '') return false;
  if (receipt.witness !== witness(subject, receipt.targets)) return false;
  if (config.verifyKey !== undefined && receipt.origin !== (await verifyKeyId(config.verifyKey)))
    return false;
  return isFitHere(receipt, subject);
}

/**
 * Whether the tree comes from an entry that would not be restored now: from before `CACHE_VERIFY_KEY` was
 * set, or signed by another key. This is not about trees of an installer: verification judges those.
 */
export async function isDistrusted(
  { verifyKey, projectDir }: Config,
  { mainTarget }: Recipe,
): Promise<boolean> {
  if (verifyKey === undefined) return false;
  const origin = readReceipt(projectDir, mainTarget)?.origin ?? 'installed';
  return origin !== 'installed' && origin !== (await verifyKeyId(verifyKey));
}

/**
 * Whether an install must begin from nothing. On top of this tree it would find all it needs, and keep what
 * cannot be used here.
 */
export async function isUseless(
  config: Config,
  subject: Pick<Subject, 'recipe' | 'project'>,
): Promise<boolean> {
  return (await isDistrusted(config, subject.recipe)) || (await lackedInPlace(subject)) !== undefined;
}

/** Records that the tree in place is verified and is what the key names. */
export function confirm(subject: Subject, found: Omit<Receipt, 'key' | 'witness'>): void {
  const { project, recipe, key, lockfileDigest } = subject;
  const { targets, origin, installSeconds, bytes, files, needs = '' } = found;
  writeReceipts(
    project.dir,
    {
      key,
      targets,
      witness: witness(subject, targets),
      origin,
      installSeconds,
      bytes,
      files,
      ...(needs === '' ? {} : { needs }),
    },
    { path: recipe.marker, sha256: lockfileDigest },
  );
}

/** For a tree that was just restored. */
export async function restoredOrigin({ verifyKey }: Config): Promise<Origin> {
  return verifyKey === undefined ? 'unchecked' : verifyKeyId(verifyKey);
}

/** For a tree that was just saved. Unless we sign it, saving changes nothing about where it came from. */
export async function savedOrigin({ signingKey }: Config, { project, recipe }: Subject): Promise<Origin> {
  if (signingKey === undefined) return readReceipt(project.dir, recipe.mainTarget)?.origin ?? 'installed';
  const { keyId, parseSigningKey } = await import('../archive/signing-keys.ts');
  return keyId(parseSigningKey(signingKey));
}

async function verifyKeyId(pem: string): Promise<string> {
  const { keyId, parseVerifyKey } = await import('../archive/signing-keys.ts');
  return keyId(parseVerifyKey(pem));
}
