import type { PackOptions } from '../archive/types.ts';
import type { Subject } from './identify.ts';
import type { Session } from './session.ts';

export type Source = Pick<
  PackOptions,
  'dir' | 'roots' | 'excludes' | 'packages' | 'madeTimes' | 'limits' | 'workers'
>;

/**
 * What of a recipe's directories goes into an entry, and how.
 * @param present those that exist, relative to the project
 */
export async function sourceOf(
  { config }: Session,
  { recipe, project }: Pick<Subject, 'recipe' | 'project'>,
  present: string[],
): Promise<Source> {
  const { availableCpus } = await import('../archive/workers/cpus.ts');
  return {
    dir: config.projectDir,
    roots: present,
    excludes: [
      ...recipe.excludes(present),
      ...present.flatMap((target) => [`${target}/.sandbox-cache-*`, `${target}/.installed`]),
    ],
    packages: recipe.packages,
    madeTimes:
      config.keepTimes || recipe.keepsTimes === true
        ? undefined
        : { except: recipe.witnesses(project, present) },
    limits: config.limits,
    workers: config.workers ?? availableCpus(),
  };
}
