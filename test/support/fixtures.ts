/**
 * Installed projects for tests, and a `describe` that needs one:
 *
 *     const npm = await sharedFixture('npm');
 *     describeFixture('restore npm', npm, (project) => {
 *       it('…', async () => {
 *         await copyTree(project.folder, target);
 *       });
 *     });
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, it } from 'vitest';
import type { FixtureName, Fixtures, FixtureState } from './fixture-pool.ts';
import { askSharedRun } from './shared-run.ts';

const run = promisify(execFile);

/** Builds it, or takes the one that another test file had built. */
export function sharedFixture<Name extends FixtureName>(name: Name): Promise<FixtureState<Name>> {
  return askSharedRun<FixtureState<Name>>('/fixture', name);
}

/** Skipped with the reason where the project could not be built; one failing test instead where it must be there (CI). */
export function describeFixture<Name extends FixtureName>(
  title: string,
  fixture: FixtureState<Name>,
  suite: (project: Fixtures[Name]) => void,
): void {
  if ('project' in fixture) {
    describe(title, () => suite(fixture.project));
    return;
  }
  describe(title, () => {
    it.skipIf(!fixture.required)(`needs what is missing here: ${fixture.skipped}`, () => {
      throw new Error(`must run here but cannot: ${fixture.skipped}`);
    });
  });
}

/** `cp -a`: bytes, modes, times and links; `to` must not exist. npm and Bundler both look at times. */
export async function copyTree(from: string, to: string): Promise<void> {
  await run('cp', ['-a', '--', from, to]);
}
