import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Subject } from './identify.ts';

/** Changes once an installer has worked in the targets. Empty if nothing could show that. */
export function witness(
  { recipe, project }: Pick<Subject, 'recipe' | 'project'>,
  targets: readonly string[],
): string {
  const lines = recipe.witnesses(project, targets).map((path) => {
    const stat = statSync(join(project.dir, path), { throwIfNoEntry: false, bigint: true });
    // Whole microseconds, because a restore puts back no more than that.
    return `${path} ${stat === undefined ? '-' : stat.mtimeNs / 1000n}\n`;
  });
  return lines.length === 0 ? '' : createHash('sha256').update(lines.join('')).digest('hex');
}
