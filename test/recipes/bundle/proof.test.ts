/**
 * The proof held against Bundler: on a real bundle, damaged in named and in random ways, it never says `whole` where
 * `bundle check` or `bundle exec` refuses.
 */
import { execFile, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { proveWhole, type Proof } from '../../../src/recipes/bundle/proof.ts';
import { bundleRecipe } from '../../../src/recipes/bundle/recipe.ts';
import { rubyFacts, type RubyFacts } from '../../../src/recipes/bundle/ruby-facts.ts';
import type { Project } from '../../../src/recipes/support/recipe.ts';
import { copyTree } from '../../support/fixtures.ts';
import { rubyMissing } from '../../support/gem-project.ts';
import { buildGemSource, type Gem } from '../../support/gem-source.ts';

const run = promisify(execFile);
const missing = await rubyMissing();
const signal = new AbortController().signal;

const ABI = spawnSync('ruby', ['-e', 'print RUBY_VERSION[/\\d+\\.\\d+/]'], { encoding: 'utf8' }).stdout;

const native = {
  'lib/native.rb': 'require "native/native"\n',
  'ext/native/extconf.rb': 'require "mkmf"\ncreate_makefile("native/native")\n',
  'ext/native/native.c': '#include <ruby.h>\nvoid Init_native(void) { rb_define_module("Native"); }\n',
};
const GEMS: readonly Gem[] = [
  { name: 'native', version: '2.1.0', spec: ['s.extensions = ["ext/native/extconf.rb"]'], files: native },
  {
    name: 'upper',
    version: '1.2.3.rc1',
    spec: [
      's.add_dependency "native", "~> 2.0", ">= 2.0.1"',
      's.add_dependency "bundler", ">= 1.15"',
      's.add_development_dependency "nowhere"',
      's.executables = ["upper"]',
      's.bindir = "exe"',
      's.metadata = { "source_code_uri" => "https://example.com/a#b" }',
      's.description = "Of \\"several\\" lines\\nand caf\\u00e9, \\#{not} more"',
    ],
    files: { 'lib/upper.rb': 'require "native"\n', 'exe/upper': '#!/usr/bin/env ruby\n' },
  },
  { name: 'plat', version: '1.0.0', spec: [], files: { 'lib/plat.rb': '' } },
  {
    name: 'plat',
    version: '1.0.0',
    platform: 'x86_64-linux',
    spec: [],
    files: { 'lib/plat.rb': '', [`lib/plat/${ABI}/plat.so`]: '', 'lib/plat/2.7/plat.so': '' },
  },
  { name: 'tested', version: '0.1.0', spec: [], files: { 'lib/tested.rb': '' } },
];

describe.skipIf(missing !== undefined)('against Bundler', () => {
  let home: string;
  let whole: Project;
  let facts: RubyFacts;
  let copies = 0;

  beforeAll(async () => {
    home = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-proof-')));
    await buildGemSource(join(home, 'source'), GEMS);
    const dir = join(home, 'whole');
    mkdirSync(dir);
    const version = spawnSync('ruby', ['-e', 'print RUBY_VERSION'], { encoding: 'utf8' }).stdout;
    writeFileSync(
      join(dir, 'Gemfile'),
      `# frozen_string_literal: true

source "file://${home}/source"
git_source(:github) { |repo| "https://example.com/#{repo}.git" }

ruby "${version}"

gem "upper", "~> 1.2.0.a", require: false # the one we need
gem 'plat', '>= 1', :require => ["plat"]

group :development, :test do
  gem "tested", platforms: %i[ mri mingw ]
end
`,
    );
    const env = { PATH: process.env['PATH'] ?? '', HOME: home, BUNDLE_PATH: 'vendor/bundle' };
    await run('bundle', ['install', '--quiet'], { cwd: dir, env });
    whole = { dir, lockfile: 'Gemfile.lock', env };
    facts = await rubyFacts(whole, signal);
  }, 120_000);

  afterAll(() => rmSync(home, { recursive: true, force: true }));

  const copy = async (): Promise<Project> => {
    const dir = join(home, `copy-${copies++}`);
    await copyTree(whole.dir, dir);
    return { ...whole, dir };
  };
  const prove = (project: Project): Proof => proveWhole(project, 'vendor/bundle', facts);

  /** What Bundler itself says: the two commands of the recipe's verification. */
  const bundlerRefuses = ({ dir, env }: Project): boolean => {
    const options = { cwd: dir, env: { ...env, BUNDLE_FROZEN: 'true' } };
    return [
      ['check', '--dry-run'],
      ['exec', 'ruby', '-e', '0'],
    ].some((args) => spawnSync('bundle', args, options).status !== 0);
  };
  const installation = ({ dir }: Project): string =>
    join(dir, 'vendor/bundle/ruby', readdirSync(join(dir, 'vendor/bundle/ruby'))[0]!);
  const spec = (project: Project, name: string): string => {
    const folder = join(installation(project), 'specifications');
    return join(
      folder,
      readdirSync(folder).find((file) => file.startsWith(name))!,
    );
  };
  const extension = (project: Project): string => {
    const folder = join(installation(project), 'extensions');
    const found = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((path) =>
      path.endsWith('native-2.1.0'),
    );
    return join(folder, found!);
  };
  const edit =
    (file: string, change: (text: string) => string) =>
    (project: Project): void => {
      const path = join(project.dir, file);
      const text = readFileSync(path, 'utf8');
      const changed = change(text);
      expect(changed).not.toBe(text);
      writeFileSync(path, changed);
    };
  const lock = (change: (text: string) => string) => edit('Gemfile.lock', change);
  const gemfile = (change: (text: string) => string) => edit('Gemfile', change);

  it('a whole bundle is proven whole, whatever groups are left out, and Bundler agrees', async () => {
    expect(prove(whole)).toBe('whole');
    expect(bundlerRefuses(whole)).toBe(false);
    expect(await bundleRecipe.verify(whole, signal)).toEqual({ ok: true });
    // No program is needed for it but Ruby.
    const bundle = join(home, 'no-bundler');
    mkdirSync(bundle);
    for (const [name, script] of [
      ['ruby', `exec ${spawnSync('which', ['ruby'], { encoding: 'utf8' }).stdout.trim()} "$@"`],
      ['bundle', 'exit 99'],
    ] as const) {
      writeFileSync(join(bundle, name), `#!/bin/sh\n${script}\n`);
      chmodSync(join(bundle, name), 0o755);
    }
    const env = { ...whole.env, PATH: `${bundle}:${whole.env['PATH']}` };
    expect(await bundleRecipe.verify({ ...whole, env }, signal)).toEqual({ ok: true });
    expect(prove({ ...whole, env: { ...whole.env, BUNDLE_WITHOUT: 'test', BUNDLE_JOBS: '4' } })).toBe(
      'whole',
    );
  });

  const damages: readonly (readonly [string, (project: Project) => void])[] = [
    ['no specification', (project) => rmSync(spec(project, 'native'))],
    ['no specification of the platform’s gem', (project) => rmSync(spec(project, 'plat'))],
    ['no specification of a gem of a group', (project) => rmSync(spec(project, 'tested'))],
    ['an empty specification', (project) => truncateSync(spec(project, 'upper'), 0)],
    ['half a specification', (project) => truncateSync(spec(project, 'upper'), 500)],
    [
      'a specification with more after its end',
      (project) => appendFileSync(spec(project, 'tested'), 'raise "x"\n'),
    ],
    [
      'a specification of another version',
      (project) => renameSync(spec(project, 'native'), spec(project, 'native').replace('2.1.0', '2.2.0')),
    ],
    [
      'a specification that another gem’s text is in',
      (project) => writeFileSync(spec(project, 'native'), readFileSync(spec(project, 'tested'))),
    ],
    [
      'a broken specification of a gem that nobody wants',
      (project) =>
        writeFileSync(join(installation(project), 'specifications/other-1.0.0.gemspec'), 'raise "x"\n'),
    ],
    [
      'no specifications',
      (project) => rmSync(join(installation(project), 'specifications'), { recursive: true }),
    ],
    ['no marker of the extension', (project) => rmSync(join(extension(project), 'gem.build_complete'))],
    ['no extension', (project) => rmSync(extension(project), { recursive: true })],
    ['no extensions', (project) => rmSync(join(installation(project), 'extensions'), { recursive: true })],
    [
      'extensions of another platform',
      (project) =>
        renameSync(
          join(installation(project), 'extensions/x86_64-linux'),
          join(installation(project), 'extensions/aarch64-linux'),
        ),
    ],
    [
      'gems of another Ruby',
      (project) => renameSync(installation(project), join(installation(project), '../2.7.0')),
    ],
    [
      'another engine',
      (project) => renameSync(join(installation(project), '..'), join(project.dir, 'vendor/bundle/jruby')),
    ],
    ['a newer version in the lockfile', lock((text) => text.replace('native (2.1.0)', 'native (2.1.1)'))],
    ['a version that is not asked for', lock((text) => text.replace('plat (1.0.0-', 'plat (0.9.0-'))],
    ['another platform', lock((text) => text.replace(/PLATFORMS\n.*/, 'PLATFORMS\n  sparc-solaris'))],
    ['another platform’s gem', lock((text) => text.replace('1.0.0-x86_64-linux', '1.0.0-aarch64-linux'))],
    ['one more dependency', lock((text) => text.replace('DEPENDENCIES\n', 'DEPENDENCIES\n  another\n'))],
    ['one dependency less', lock((text) => text.replace(/^ {2}tested\n/m, ''))],
    ['a gem that is not in the lockfile', lock((text) => text.replace(/^ {4}native .*\n/m, ''))],
    [
      'a gem that depends on more',
      lock((text) => text.replace('native (2.1.0)', 'native (2.1.0)\n      more (>= 0)')),
    ],
    ['a circle', lock((text) => text.replace('native (2.1.0)', 'native (2.1.0)\n      upper (>= 0)'))],
    ['another requirement', lock((text) => text.replace('plat (>= 1)', 'plat (>= 2)'))],
    ['marks of a merge', lock((text) => `<<<<<<< HEAD\n${text}`)],
    ['an empty lockfile', lock(() => '')],
    ['no lockfile', (project) => rmSync(join(project.dir, 'Gemfile.lock'))],
    ['one more gem in the Gemfile', gemfile((text) => `${text}gem "another"\n`)],
    ['one gem less in the Gemfile', gemfile((text) => text.replace(/^gem 'plat'.*\n/m, ''))],
    ['another constraint in the Gemfile', gemfile((text) => text.replace("'>= 1'", "'>= 1.0.0'"))],
    ['another source', gemfile((text) => text.replace(/^source.*$/m, 'source "https://gems.example.com"'))],
    ['another Ruby', gemfile((text) => text.replace(/^ruby ".*"/m, 'ruby "99.0.0"'))],
    ['a Ruby in the Gemfile alone', lock((text) => text.replace(/RUBY VERSION\n.*\n/, ''))],
    ['a Gemfile with code', gemfile((text) => `${text}raise "x"\n`)],
    ['a Gemfile that is no Ruby', gemfile((text) => `${text}group :x do\n`)],
    ['a gem from a path', gemfile((text) => text.replace('"tested",', '"tested", path: "nowhere",'))],
    ['no Gemfile', (project) => rmSync(join(project.dir, 'Gemfile'))],
    ['a local override', edit('.bundle/config', () => '---\nBUNDLE_LOCAL__TESTED: "/nowhere"\n')],
    ['a configuration that is none', edit('.bundle/config', () => '---\n- a\n  b: [\n')],
  ];

  let refused = 0;

  it.each(damages)('%s: never whole where Bundler refuses', async (title, damage) => {
    const project = await copy();
    mkdirSync(join(project.dir, '.bundle'), { recursive: true });
    appendFileSync(join(project.dir, '.bundle/config'), '---\nBUNDLE_JOBS: "2"\n');
    expect(prove(project)).toBe('whole');
    damage(project);
    const proof = prove(project);
    // Some of these Bundler does not mind; none of them is certain.
    expect(proof, title).not.toBe('whole');
    const verdict = await bundleRecipe.verify(project, signal).catch(() => ({ ok: false }));
    if (!bundlerRefuses(project)) return;
    refused++;
    expect(verdict.ok).toBe(false);
  });

  it('Bundler refuses most of these', () => {
    expect(refused).toBeGreaterThan(damages.length / 2);
  });

  it.each<[string, Record<string, string>]>([
    ['RUBYOPT', { RUBYOPT: '-rnowhere' }],
    ['another Gemfile', { BUNDLE_GEMFILE: 'other/Gemfile' }],
    ['a version of Bundler', { BUNDLER_VERSION: '1.0.0' }],
    ['gems of the system', { BUNDLE_PATH__SYSTEM: 'true' }],
    ['source gems alone', { BUNDLE_FORCE_RUBY_PLATFORM: 'true' }],
    ['not frozen', { BUNDLE_FROZEN: 'false' }],
    ['a setting of a later Bundler', { BUNDLE_SOMETHING: 'new' }],
  ])('asks Bundler under %s', (_, env) => {
    expect(prove({ ...whole, env: { ...whole.env, ...env } })).toBe('unknown');
  });

  it('refuses a precompiled gem without the library for this Ruby, which Bundler does not', async () => {
    const project = await copy();
    const lib = join(installation(project), 'gems/plat-1.0.0-x86_64-linux/lib/plat');
    // Some remove what other Rubies would load.
    rmSync(join(lib, '2.7/plat.so'));
    expect(await bundleRecipe.verify(project, signal)).toEqual({ ok: true });
    rmSync(join(lib, ABI, 'plat.so'));
    expect(bundlerRefuses(project)).toBe(false);
    expect(await bundleRecipe.verify(project, signal)).toMatchObject({
      ok: false,
      blame: 'entry',
      reason: expect.stringMatching(
        /^the compiled files of vendor\/bundle\/.*\/lib\/plat\/\d\.\d are missing$/,
      ),
    });
  });

  it('says of the tree alone that it is doubtful', async () => {
    const broken = await copy();
    rmSync(spec(broken, 'native'));
    expect(prove(broken)).toBe('doubtful');
    expect(await bundleRecipe.looksDamaged?.(broken, signal)).toBe(true);
    expect(await bundleRecipe.looksDamaged?.(whole, signal)).toBe(false);
    const without = { ...broken, env: { ...broken.env, BUNDLE_WITHOUT: 'test' } };
    expect(await bundleRecipe.looksDamaged?.(without, signal)).toBe(false);
    rmSync(join(installation(without), 'gems/tested-0.1.0'), { recursive: true });
    expect(await bundleRecipe.looksDamaged?.(without, signal)).toBe(true);
  });

  it('never whole where Bundler refuses, after random edits of all it reads', async () => {
    const project = await copy();
    const files = [
      'Gemfile',
      'Gemfile.lock',
      ...readdirSync(join(installation(project), 'specifications'))
        .filter((name) => name.endsWith('.gemspec'))
        .map((name) => join(installation(project), 'specifications', name).slice(project.dir.length + 1)),
    ];
    let state = 20_261_127;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const wrong: string[] = [];
    let proven = 0;
    for (let round = 0; round < 1500; round++) {
      const path = join(project.dir, files[random(files.length)]!);
      const text = readFileSync(path, 'latin1');
      const edited = editText(text, random);
      writeFileSync(path, edited, 'latin1');
      // Most edits are noticed, at no cost. What is proven all the same, Bundler has to confirm.
      if (edited !== text && prove(project) === 'whole') {
        proven++;
        if (proven <= 30 && bundlerRefuses(project)) wrong.push(`${path}:\n${edited}`);
      }
      writeFileSync(path, text, 'latin1');
    }
    expect(wrong).toEqual([]);
    // Within strings of a specification, in comments, names of groups.
    expect(proven).toBeGreaterThan(5);
    expect(prove(project)).toBe('whole');
  }, 240_000);
});

/** One edit: a byte changed, taken out or put in, a line taken out, doubled or exchanged with another, an end cut off. */
function editText(text: string, random: (below: number) => number): string {
  const at = random(text.length);
  const byte = String.fromCharCode([random(256), 32 + random(95)][random(2)]!);
  const lines = text.split('\n');
  const [one, other] = [random(lines.length), random(lines.length)];
  switch (random(7)) {
    case 0:
      return text.slice(0, at) + byte + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + text.slice(at + 1);
    case 2:
      return text.slice(0, at) + byte + text.slice(at);
    case 3:
      return lines.toSpliced(one, 1).join('\n');
    case 4:
      return lines.toSpliced(one, 0, lines[one]!).join('\n');
    case 5:
      return lines.with(one, lines[other]!).with(other, lines[one]!).join('\n');
    default:
      return text.slice(0, at);
  }
}
