import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Subject } from './identify.ts';

/** Differs once an installer has worked in the targets. */
export function witness(
  { recipe, project }: Pick<Subject, 'recipe' | 'project'>,
  targets: readonly string[],
): string {
  return recipe
    .witnesses(project, targets)
    .map((path) => {
      const stat = statSync(join(project.dir, path), { throwIfNoEntry: false, bigint: true });
      // Whole microseconds: what a restore puts back.
      return stat === undefined ? '-' : String(stat.mtimeNs / 1000n);
    })
    .join(' ');
}
