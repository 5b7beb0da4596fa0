import { CacheError } from '../errors.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import { findFitting } from '../session/fit.ts';
import { holding } from '../session/hold.ts';
import { identify, type Subject } from '../session/identify.ts';
import { isUseless } from '../session/in-place.ts';
import type { InstallOptions } from '../session/install.ts';
import { installMissing } from '../session/install-missing.ts';
import type { OutcomeDetail } from '../session/outcome.ts';
import { requireStoreApart } from '../session/overlap.ts';
import { renewInUse } from '../session/renewing.ts';
import { save } from './save.ts';
import { type Session, whyOff } from '../session/session.ts';
import { withDeadline } from '../session/deadline.ts';

/** @throws CacheError CONFIG_INVALID when no cache can be warmed */
export function requireWritable({ config }: Session): void {
  const off = whyOff(config, 'write');
  if (off === undefined) return;
  throw new CacheError('CONFIG_INVALID', `There is no cache to warm: ${off}`, {
    hint:
      config.store.type === 'off'
        ? 'Set it to the bucket to fill.'
        : 'Unset it for the job that warms the cache.',
  });
}

/**
 * For CI: where the entry is missing, installs, verifies and saves. Nothing is downloaded but an older entry to
 * build on.
 * @param options `clean`: install from nothing
 */
export async function warm(
  session: Session,
  recipe: Recipe,
  options: InstallOptions & { clean?: boolean },
): Promise<OutcomeDetail> {
  const subject = await identify(session, recipe);
  if (subject === undefined) return { type: 'no-lockfile', lockfiles: recipe.lockfiles };
  await requireStoreApart(session, recipe, subject.project);
  const found = await lookUp(session, subject);
  if (found !== undefined) return found;
  return holding({ session, recipe, patient: true }, async (held) => {
    const saved = held.hold?.waited === true ? await lookUp(session, subject) : undefined;
    if (saved !== undefined) return saved;
    session.emit({ type: 'step', text: `Cache miss for ${recipe.name} (${subject.hash})` });
    const isUnusable = held.hold?.marked === 'left' || (await isUseless(session.config, subject));
    const installed = await installMissing(held, recipe, {
      ...options,
      isClean: options.clean === true || isUnusable,
      missed: options.clean === true ? undefined : subject.key,
    });
    if (installed.type === 'install-failed') return installed;
    const { base, stored: from, installSeconds, steps } = installed;
    const done = await save(held.session, recipe, {
      installSeconds,
      steps,
      from,
    });
    return done.type === 'saved' && base !== undefined ? { ...done, base } : done;
  });
}

async function lookUp(
  session: Session,
  subject: Subject,
): Promise<(OutcomeDetail & { type: 'exists' }) | undefined> {
  const { recipe } = subject;
  const store = await session.store();
  const found = await withDeadline(session, `Looking up ${recipe.name}`, async (signal) => {
    const fitting = await findFitting(session, subject, { look: (at) => store.stat(at, { signal }) });
    await renewInUse({ session, subject, store, signal }, fitting.entry);
    return fitting;
  });
  if ((found.entry ?? found.misfit) === undefined) return undefined;
  const { key } = found.subject;
  session.emit({ type: 'step', text: `Cache already exists: ${store.url(key)}` });
  return { type: 'exists', key, url: store.url(key) };
}
