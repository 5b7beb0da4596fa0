/**
 * A real Bundler project without RubyGems' registry: three gems built with `gem build`, one of them with a C extension and
 * one that depends on it, indexed with `gem generate_index` and installed by Bundler from `file://` into vendor/bundle.
 * On Debian: `apt-get install -y ruby ruby-dev ruby-bundler gcc make`.
 */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from './daemon.ts';
import { buildGemSource, writeFiles, type Gem } from './gem-source.ts';

const run = promisify(execFile);

const PROGRAMS = ['ruby', 'gem', 'bundle', 'gcc', 'make'];

export interface GemProject {
  /** Gemfile, Gemfile.lock and vendor/bundle. */
  folder: string;
  /** The gem source that the Gemfile names, as a folder. */
  source: string;
}

/** Why gems cannot be built here; undefined when they can. */
export async function rubyMissing(): Promise<string | undefined> {
  const found = await Promise.all(PROGRAMS.map(findProgram));
  const missing = PROGRAMS.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) return `${missing.join(', ')} not on PATH`;
  const script = "require 'mkmf'; exit File.exist?(File.join(RbConfig::CONFIG['rubyhdrdir'], 'ruby.h'))";
  return run('ruby', ['-e', script]).then(
    () => undefined,
    () => "Ruby's headers are missing (ruby-dev)",
  );
}

/** @throws Error with the output of the program that failed */
export async function buildGemProject(root: string): Promise<GemProject> {
  const folder = join(root, 'gem-project');
  const source = join(root, 'gem-source');
  await Promise.all([folder, source].map((path) => rm(path, { recursive: true, force: true })));
  await buildGemSource(source, GEMS);

  await writeFiles(folder, {
    Gemfile: `source "file://${source}"\n\ngem "fixture-greeter", "~> 1.0"\n\ngroup :development do\n  gem "fixture-extra"\nend\n`,
  });
  const env = bundleEnvironment(folder);
  await run('bundle', ['install', '--quiet'], { cwd: folder, env, timeout: 120_000 });
  return { folder, source };
}

/** What `bundle` needs to install into vendor/bundle of a project, and into nothing of this machine's user. */
export function bundleEnvironment(folder: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: `${folder}.home`,
    BUNDLE_PATH: join(folder, 'vendor/bundle'),
    BUNDLE_APP_CONFIG: join(folder, '.bundle'),
  };
}

const GEMS: readonly Gem[] = [
  {
    name: 'fixture-native',
    version: '2.1.0',
    spec: ['s.extensions = ["ext/fixture_native/extconf.rb"]'],
    files: {
      'lib/fixture_native.rb': 'require "fixture_native/fixture_native"\n',
      'ext/fixture_native/extconf.rb': 'require "mkmf"\ncreate_makefile("fixture_native/fixture_native")\n',
      'ext/fixture_native/fixture_native.c': `#include <ruby.h>

static VALUE twice(VALUE self, VALUE number) { return INT2NUM(2 * NUM2INT(number)); }

void Init_fixture_native(void) {
  rb_define_module_function(rb_define_module("FixtureNative"), "twice", twice, 1);
}
`,
    },
  },
  {
    name: 'fixture-greeter',
    version: '1.0.3',
    spec: [
      's.add_dependency "fixture-native", "~> 2.0"',
      's.bindir = "exe"',
      's.executables = ["fixture-greet"]',
    ],
    files: {
      'lib/fixture_greeter.rb':
        'require "fixture_native"\nmodule FixtureGreeter\n  def self.greet = "twice 21 is #{FixtureNative.twice(21)}"\nend\n',
      'exe/fixture-greet': '#!/usr/bin/env ruby\nrequire "fixture_greeter"\nputs FixtureGreeter.greet\n',
    },
  },
  {
    name: 'fixture-extra',
    version: '0.1.0',
    spec: [],
    files: { 'lib/fixture_extra.rb': 'FIXTURE_EXTRA = true\n' },
  },
];
