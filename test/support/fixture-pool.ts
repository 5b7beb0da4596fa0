/** The projects that tests install and cache: each built once a run, on the first demand, and copied by the tests. */
import { isCi } from './ci.ts';
import { buildGemProject, rubyMissing } from './gem-project.ts';
import type { GemProject } from './gem-project.ts';
import { buildNpmProject } from './npm-project.ts';
import type { NpmProject } from './npm-project.ts';
import { buildNpmVersions, type NpmVersions } from './npm-versions.ts';
import { makeTemporaryFolder } from './temporary.ts';

export interface Fixtures {
  npm: NpmProject;
  gems: GemProject;
  'npm-versions': NpmVersions;
}

export type FixtureName = keyof Fixtures;

export type FixtureState<Name extends FixtureName> =
  | { project: Fixtures[Name] }
  /** It could not be built; `required` makes that a failure. */
  | { skipped: string; required: boolean };

export interface FixturePool {
  build(name: string): Promise<FixtureState<FixtureName>>;
  close(): Promise<void>;
}

export async function openFixturePool(env: NodeJS.ProcessEnv): Promise<FixturePool> {
  const root = await makeTemporaryFolder('fixtures');
  const built = new Map<string, Promise<FixtureState<FixtureName>>>();
  const builders: Record<FixtureName, () => Promise<FixtureState<FixtureName>>> = {
    npm: async () => ({ project: await buildNpmProject(root.path) }),
    'npm-versions': async () => ({ project: await buildNpmVersions(root.path) }),
    async gems() {
      const skipped = await rubyMissing();
      return skipped === undefined
        ? { project: await buildGemProject(root.path) }
        : { skipped, required: isCi(env) };
    },
  };
  const isFixture = (name: string): name is FixtureName => Object.hasOwn(builders, name);
  return {
    build(name) {
      if (!isFixture(name)) throw new Error(`no fixture is called ${name}`);
      const state =
        built.get(name) ??
        builders[name]().catch((error: unknown) => ({ skipped: String(error), required: isCi(env) }));
      built.set(name, state);
      return state;
    },
    async close() {
      await Promise.allSettled(built.values());
      await root.remove();
    },
  };
}
