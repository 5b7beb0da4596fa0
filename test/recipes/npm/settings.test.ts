/** Our reading of npm's configuration, held against npm's own code out of the npm on PATH. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyVariables } from '../../../src/recipes/support/lockfile.ts';
import { npmRecipe } from '../../../src/recipes/npm/recipe.ts';
import { readNpmConfig } from '../../../src/recipes/npm/config.ts';
import { parseIni } from '../../../src/recipes/npm/ini.ts';
import { npmSettings } from '../../../src/recipes/npm/settings.ts';
import { which } from '../../../src/recipes/support/which.ts';
import { type Published, startRegistry } from '../registry.ts';
import { npm, npmEnv } from './npm-tree.ts';

const PATH = process.env['PATH'] ?? '';
const npmRoot = dirname(dirname(realpathSync(which('npm', { dir: '/', env: { PATH } })!)));
const load = createRequire(join(npmRoot, 'package.json'));
const ini = load('ini') as { parse(text: string): Record<string, unknown> };
const Config = load('@npmcli/config') as new (options: object) => {
  load(): Promise<void>;
  validate(): boolean;
  get(name: string): unknown;
  flat: Record<string, unknown>;
};
const definitions = load('@npmcli/config/lib/definitions') as object;

let folder: string;
let dir: string;
let env: Record<string, string>;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-npmrc-')));
  dir = join(folder, 'project');
  mkdirSync(dir);
  writeFileSync(join(dir, 'package.json'), '{}');
  writeFileSync(join(dir, 'package-lock.json'), '{}');
  mkdirSync(join(folder, 'prefix/etc'), { recursive: true });
  env = { PATH, HOME: folder, PREFIX: join(folder, 'prefix') };
});
afterEach(() => rmSync(folder, { recursive: true }));

const FILES = { project: 'project/.npmrc', user: '.npmrc', global: 'prefix/etc/npmrc' };
type Place = keyof typeof FILES | 'environment';

function set(place: Place, lines: string): void {
  if (place !== 'environment') writeFileSync(join(folder, FILES[place]), lines);
  else {
    const [name, value] = lines.split('=');
    env[`npm_config_${name!.replaceAll('-', '_')}`] = value!;
  }
}

/** What counts in the key. */
function counted(): Record<string, string> {
  return keyVariables(npmRecipe.at!({ dir, env }), env);
}

/** What npm makes of the same files and variables. */
async function npmsOwn(): Promise<{ get(name: string): unknown; flat: Record<string, unknown> }> {
  const config = new Config({
    npmPath: npmRoot,
    ...definitions,
    env: { ...env },
    cwd: dir,
    argv: ['node', 'npm'],
    warn: false,
  });
  await config.load();
  config.validate();
  return config;
}

describe('npmrc', () => {
  it('is parsed as npm parses it', () => {
    const piece = fc.constantFrom(
      'omit',
      'a[]',
      '=',
      ' ',
      '"',
      "'",
      ';',
      '#',
      '\\',
      '\n',
      '\r\n',
      'dev',
      'true',
      '[s]',
      '1',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 24 }), (pieces) => {
        const text = pieces.join('');
        const all = Object.entries(ini.parse(text)).filter(
          ([, value]) => typeof value !== 'object' || Array.isArray(value),
        );
        const theirs = Object.fromEntries(
          all.map(([name, value]) => [name, Array.isArray(value) ? value.map(String) : String(value)]),
        );
        expect(Object.fromEntries(parseIni(text))).toEqual(theirs);
      }),
      { numRuns: 3000, seed: 7 },
    );
  });

  it('counts where npm looks for it, and in npm’s order', async () => {
    const settings = [
      'omit=dev',
      'omit=optional',
      'omit=nonsense',
      'omit[]=dev\nomit[]=peer',
      'include=dev',
      'only=prod',
      'production=true',
      'production=false',
      'optional=false',
      'also=dev',
      'dev=true',
      'bin-links=false',
      'bin-links=0',
      'bin-links',
      'legacy-peer-deps=true',
      'legacy-peer-deps=1',
      'install-links=true',
      'cpu=arm64',
      'os=',
      'libc=null',
      'workspace=a',
      'workspaces=false',
      'include-workspace-root=true',
      'cpu=${HOME}',
      'cpu=${NONE}',
      'cpu=${NONE?}',
    ];
    const places = fc.constantFrom<Place>('environment', 'project', 'user', 'global');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(places, fc.constantFrom(...settings)), { maxLength: 6 }),
        async (chosen) => {
          for (const file of Object.values(FILES)) rmSync(join(folder, file), { force: true });
          env = { PATH, HOME: folder, PREFIX: join(folder, 'prefix') };
          for (const [place, line] of chosen)
            if (place !== 'environment' || /^[^[\n]+=/.test(line)) set(place, line);
          const theirs = await npmsOwn();
          const ours = npmSettings({ dir, env });
          const list = (value: unknown): unknown[] => (value as unknown[]).filter((item) => item !== '');
          expect({ ...ours, omit: [...ours.omit].sort() }).toEqual({
            omit: [...(theirs.flat['omit'] as string[])].sort(),
            binLinks: theirs.get('bin-links') !== false,
            legacyPeerDeps: theirs.get('legacy-peer-deps') === true,
            installLinks: theirs.get('install-links') === true,
            workspaces: list(theirs.get('workspace')),
            ignoreWorkspaces: theirs.get('workspaces') === false,
            includeRoot: theirs.get('include-workspace-root') === true,
            cpu: theirs.get('cpu') || undefined,
            os: theirs.get('os') || undefined,
            libc: theirs.get('libc') || undefined,
          });
        },
      ),
      { numRuns: 200, seed: 11 },
    );
  });

  it('is found by userconfig, globalconfig and prefix, wherever they are set', () => {
    const cpu = (): string | undefined => readNpmConfig({ dir, env }).text('cpu');
    for (const name of ['elsewhere', 'other/etc/npmrc']) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), `cpu=${name}\n`);
    }
    expect(cpu()).toBeUndefined();
    set('project', 'userconfig=~/elsewhere\n');
    expect(cpu()).toBe('elsewhere');
    set('project', 'prefix=${HOME}/other\n');
    expect(cpu()).toBe('other/etc/npmrc');
    set('project', 'globalconfig=../elsewhere\n');
    expect(cpu()).toBe('elsewhere');
    set('project', 'userconfig=/dev/null\n');
    expect(cpu()).toBeUndefined();
  });

  it('is found beside the npm and the node on PATH, which are not started', () => {
    const bin = join(folder, 'tools/bin');
    const npm = join(folder, 'tools/lib/node_modules/npm/bin');
    for (const path of [bin, npm, join(folder, 'tools/etc')]) mkdirSync(path, { recursive: true });
    for (const file of [join(bin, 'node'), join(npm, 'npm-cli.js')])
      writeFileSync(file, 'exit 1\n', { mode: 0o755 });
    symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(bin, 'npm'));
    env = { PATH: bin + delimiter + PATH, HOME: folder };
    writeFileSync(join(npm, '../npmrc'), 'cpu=of-npm\nos=of-npm\n');
    writeFileSync(join(folder, 'tools/etc/npmrc'), 'cpu=global\n');
    expect(counted()).toEqual({ npm_config_cpu: 'global', npm_config_os: 'of-npm' });
  });

  it('that npm would never finish reading is an error', () => {
    symlinkSync('/dev/zero', join(dir, '.npmrc'));
    expect(counted).toThrow(
      expect.objectContaining({
        code: 'SOURCE_UNREADABLE',
        message: expect.stringContaining('.npmrc') as string,
      }) as Error,
    );
  });
});

describe('the key', () => {
  it('is the lockfile’s alone with npm’s defaults, also where they are written down', () => {
    set(
      'user',
      'omit=\nignore-scripts=false\nbin-links=true\ninstall-strategy=hoisted\nregistry=https://registry.example/\n',
    );
    set('environment', 'workspaces=true');
    expect(counted()).toEqual({});
  });

  it.each<[Place, string, Record<string, string>]>([
    ['environment', 'omit=dev', { npm_config_omit: 'dev' }],
    ['user', 'omit=dev\n', { npm_config_omit: 'dev' }],
    ['project', 'omit[]=optional\nomit[]=dev\n', { npm_config_omit: 'optional,dev' }],
    ['global', 'ignore-scripts=true\n', { npm_config_ignore_scripts: 'true' }],
    ['environment', 'cpu=arm64', { npm_config_cpu: 'arm64' }],
    ['project', 'install-strategy=linked\n', { npm_config_install_strategy: 'linked' }],
    ['project', 'workspace=api\n', { npm_config_workspace: 'api' }],
    ['environment', 'workspaces=false', { npm_config_workspaces: 'false' }],
    ['user', 'production=true\n', { npm_config_production: 'true' }],
    ['user', 'bin-links=false\n', { npm_config_bin_links: 'false' }],
  ])('counts in %s: %s', (place, lines, expected) => {
    set(place, lines);
    expect(counted()).toEqual(expected);
  });

  it('counts NODE_ENV=production, and capitals as npm does', () => {
    env = { ...env, NODE_ENV: 'production', NPM_CONFIG_OMIT: 'peer' };
    expect(counted()).toEqual({ NODE_ENV: 'production', npm_config_omit: 'peer' });
    env['npm_config_omit'] = 'optional';
    expect(counted()).toEqual({ NODE_ENV: 'production', npm_config_omit: 'optional' });
  });
});

describe('scripts that package.json forbids', () => {
  const keyOf = (manifest: string): Record<string, string> => {
    writeFileSync(join(dir, 'package.json'), manifest);
    return keyVariables(npmRecipe.at!({ dir, env }), env);
  };

  it('count in the key, in any order', () => {
    const denied = { allowScripts: 'a,b@1.0.0' };
    expect(keyOf('{"allowScripts":{"b@1.0.0":false,"c":true,"a":false}}')).toEqual(denied);
    expect(keyOf('{"allowScripts":{"a":false,"b@1.0.0":false}}')).toEqual(denied);
  });

  it.each([
    '{}',
    '{"allowScripts":{}}',
    '{"allowScripts":{"a":true}}',
    '{"allowScripts":null}',
    '{"allowScripts":[]}',
    '{"allowScripts":',
    '',
  ])('do not where there are none (%j)', (manifest) => {
    expect(keyOf(manifest)).toEqual({});
  });

  it('do not where npm is told to run all', () => {
    env['npm_config_dangerously_allow_all_scripts'] = 'true';
    expect(keyOf('{"allowScripts":{"a":false}}')).toEqual({});
  });

  it('are not run by npm, and the others are', async () => {
    const made = (name: string): Published => ({
      manifest: { name, version: '1.0.0', scripts: { postinstall: 'touch made' } },
    });
    const registry = await startRegistry([made('a'), made('b')]);
    const tree = { dir, env: npmEnv(folder, registry) };
    const manifest = { name: 'app', dependencies: { a: '1.0.0', b: '1.0.0' }, allowScripts: { a: false } };
    writeFileSync(join(dir, 'package.json'), JSON.stringify(manifest));
    rmSync(join(dir, 'package-lock.json'));
    try {
      await npm(tree, 'install');
      const knows = existsSync(join(npmRoot, 'lib/utils/resolve-allow-scripts.js'));
      expect(existsSync(join(dir, 'node_modules/a/made'))).toBe(!knows);
      expect(existsSync(join(dir, 'node_modules/b/made'))).toBe(true);
    } finally {
      await registry.close();
    }
  });
});
