/** A source of gems as a folder, for Bundler's `file://`: each built with `gem build`, all indexed with `gem generate_index`. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Gem {
  name: string;
  version: string;
  /** e.g. `x86_64-linux`. @default built from source */
  platform?: string;
  /** Lines of its gemspec. */
  spec: readonly string[];
  files: Readonly<Record<string, string>>;
}

/** Adds gems to a source, which is made where there is none yet. @throws Error with the output of the program that failed */
export async function buildGemSource(source: string, gems: readonly Gem[]): Promise<void> {
  await mkdir(join(source, 'gems'), { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'sandbox-cache-gems-'));
  try {
    for (const [index, gem] of gems.entries())
      await buildGem(join(work, String(index)), join(source, 'gems'), gem);
  } finally {
    await rm(work, { recursive: true });
  }
  await run('gem', ['generate_index', '--directory', source], { timeout: 60_000 });
}

async function buildGem(folder: string, target: string, gem: Gem): Promise<void> {
  const names = Object.keys(gem.files);
  const spec = [
    `s.name = "${gem.name}"`,
    `s.version = "${gem.version}"`,
    's.summary = "A gem for tests"',
    's.authors = ["tests"]',
    's.homepage = "https://example.com"',
    's.license = "MIT"',
    's.required_ruby_version = ">= 3.0"',
    ...(gem.platform === undefined ? [] : [`s.platform = "${gem.platform}"`]),
    `s.files = ${JSON.stringify(names)}`,
    ...gem.spec,
  ];
  const suffix = gem.platform === undefined ? '' : `-${gem.platform}`;
  const file = `${gem.name}-${gem.version}${suffix}.gem`;
  await writeFiles(folder, {
    ...gem.files,
    [`${gem.name}.gemspec`]: `Gem::Specification.new do |s|\n  ${spec.join('\n  ')}\nend\n`,
  });
  for (const name of names.filter((path) => path.startsWith('exe/'))) await chmod(join(folder, name), 0o755);
  await run('gem', ['build', `${gem.name}.gemspec`], { cwd: folder, timeout: 60_000 });
  await rename(join(folder, file), join(target, file));
}

export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
}
