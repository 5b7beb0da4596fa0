import { effectiveSettings, type EffectiveSetting } from '../config/effective.ts';
import type { Survey } from '../config/survey.ts';

/**
 * Every setting and where it comes from. Reads the AWS configuration files too, and asks nobody.
 * @throws CacheError CONFIG_INVALID for a configuration file that cannot be read without waiting
 */
export async function listSettings(survey: Survey): Promise<EffectiveSetting[]> {
  const store = survey.config?.store;
  if (store === undefined || !('s3' in store)) return effectiveSettings(survey);
  const [{ readProfile }, { requireOrdinary }] = await Promise.all([
    import('../store/s3/connection/profile.ts'),
    import('../store/s3/connection/foreign-files.ts'),
  ]);
  requireOrdinary(store.s3.foreignFiles);
  return effectiveSettings(survey, await readProfile(store.s3.profile));
}
