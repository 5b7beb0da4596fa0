/** What npm itself thinks of a tree: the changes that an install would make, worked out by npm's own code without making them. */
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** `node_modules/ms`, by what npm would do there. */
export interface Plan {
  add: Set<string>;
  change: Set<string>;
  remove: Set<string>;
}

interface Diff {
  action: 'ADD' | 'CHANGE' | 'REMOVE' | null;
  actual?: { location: string };
  ideal?: { location: string };
  children: Diff[];
}

interface Options {
  [name: string]: unknown;
}

interface Internals {
  Arborist: new (options: Options) => { diff: Diff; reify(options: Options): Promise<unknown> };
  Config: new (options: object) => {
    load(): Promise<void>;
    validate(): boolean;
    get(name: string): unknown;
    flat: Options;
  };
  definitions: { definitions: object; shorthands: object; flatten: object };
  getWorkspaces: (names: string[], options: object) => Promise<Map<string, string>>;
}

export type Oracle = (tree: { dir: string; env: Record<string, string> }) => Promise<Plan>;

/** @param npmRoot the folder of an npm package, version 10 or later */
export function openOracle(npmRoot: string): Oracle {
  const load = createRequire(join(npmRoot, 'package.json'));
  const internals: Internals = {
    Arborist: load('@npmcli/arborist') as Internals['Arborist'],
    Config: load('@npmcli/config') as Internals['Config'],
    definitions: load('@npmcli/config/lib/definitions') as Internals['definitions'],
    getWorkspaces: load(join(npmRoot, 'lib/utils/get-workspaces.js')) as Internals['getWorkspaces'],
  };
  return (tree) => planOf(internals, npmRoot, tree);
}

async function planOf(
  { Arborist, Config, definitions, getWorkspaces }: Internals,
  npmPath: string,
  { dir, env }: { dir: string; env: Record<string, string> },
): Promise<Plan> {
  const config = new Config({
    npmPath,
    ...definitions,
    env: { ...env },
    cwd: dir,
    argv: ['node', 'npm', 'ci'],
    warn: false,
  });
  await config.load();
  config.validate();
  const names = config.get('workspace') as string[];
  const found =
    names.length === 0 || config.get('workspaces') === false
      ? []
      : [...(await getWorkspaces(names, { path: dir, relativeFrom: dir }).catch(() => new Map())).keys()];
  const options = {
    ...config.flat,
    path: dir,
    packageLock: true,
    save: false,
    workspaces: found,
    dryRun: true,
  };
  const arborist = new Arborist(options);
  await arborist.reify(options);
  const plan: Plan = { add: new Set(), change: new Set(), remove: new Set() };
  collect(arborist.diff, plan);
  return plan;
}

function collect({ action, actual, ideal, children }: Diff, plan: Plan): void {
  const location = (ideal ?? actual)?.location ?? '';
  if (action === 'ADD') plan.add.add(location);
  if (action === 'CHANGE') plan.change.add(location);
  if (action === 'REMOVE') plan.remove.add(location);
  for (const child of children) collect(child, plan);
}
