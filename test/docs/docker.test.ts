/** docs/docker.md without Docker: the files are what Docker takes, and the package lands where they say. */
import { cpSync, existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { validate, ValidationSeverity } from 'dockerfile-utils';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { expectExit, makeNpmProject, tool, useSandbox, wipe } from '../e2e/support.ts';
import { blockBelow, blocksBelow } from './pages.ts';

const PAGE = 'docs/docker.md';
const ROOT = new URL('../../', import.meta.url).pathname;
const sandbox = useSandbox();

it('its Dockerfile is one', () => {
  const problems = validate(blockBelow(PAGE, 'The image', 'dockerfile'));
  expect(problems.filter(({ severity }) => severity === ValidationSeverity.ERROR)).toEqual([]);
  expect(validate('FORM ruby\n')).not.toEqual([]);
});

it('its Compose file names the volume that it mounts', () => {
  const compose = parse(blockBelow(PAGE, 'Compose', 'yaml')) as {
    services: Record<string, { volumes: string[]; environment: Record<string, string> }>;
    volumes: Record<string, null>;
  };
  const { volumes, environment } = compose.services['agent']!;
  expect(volumes.map((volume) => volume.split(':')[0])).toEqual(['.', ...Object.keys(compose.volumes)]);
  expect(volumes.map((volume) => volume.split(':')[1])).toContain(environment['CACHE_LOCAL_DIR']);
});

it('the package works from a prefix that was copied, with Node and nothing else beside it', async () => {
  const packed = await tool('npm', ['pack', '--ignore-scripts', '--pack-destination', sandbox.folder], {
    cwd: ROOT,
  });
  const prefix = join(sandbox.folder, 'opt/sandbox-cache');
  const archive = join(sandbox.folder, packed.trim().split('\n').at(-1)!);
  await tool('npm', ['install', '--global', '--offline', '--prefix', prefix, archive]);
  const image = join(sandbox.folder, 'image');
  cpSync(prefix, join(image, 'opt/sandbox-cache'), { recursive: true, verbatimSymlinks: true });
  wipe(sandbox.folder, 'opt');
  mkdirSync(join(image, 'bin'));
  for (const program of ['node', 'sh']) {
    const path =
      program === 'node' ? process.execPath : (await tool('sh', ['-c', `command -v ${program}`])).trim();
    cpSync(realpathSync(path), join(image, 'bin', program));
  }

  makeNpmProject(sandbox.project);
  expectExit(await sandbox.run(['save', 'npm']), 0);
  wipe(sandbox.project, 'node_modules');
  const PATH = [join(image, 'opt/sandbox-cache/bin'), join(image, 'bin')].join(':');
  const env = { PATH, ...sandbox.env, HOME: sandbox.folder, TMPDIR: sandbox.folder };
  const said = await tool(join(image, 'opt/sandbox-cache/bin/sandbox-cache'), ['restore', 'npm'], {
    cwd: sandbox.project,
    env,
  });
  expect(said).toMatch(/^Node packages restored from S3 cache/);
  const dropIn = 'opt/sandbox-cache/lib/node_modules/sandbox-cache/bin/cache-manager.sh';
  expect(existsSync(join(image, dropIn))).toBe(true);
  expect(blocksBelow(PAGE, 'The image', 'dockerfile')[0]!.text).toContain('/opt/sandbox-cache/bin:$PATH');
});

it('its entrypoints end with the dependencies in place and become the command', async () => {
  makeNpmProject(sandbox.project);
  expectExit(await sandbox.run(['save', 'npm']), 0);
  wipe(sandbox.project, 'node_modules');
  const [ensure] = blocksBelow(PAGE, 'The entrypoint', 'bash');
  const entrypoint = join(sandbox.folder, 'entrypoint.sh');
  writeFileSync(entrypoint, ensure!.text, { mode: 0o755 });
  const { stdout } = expectExit(await sandbox.script(`exec ${entrypoint} echo the command`), 0);
  expect(stdout).toMatch(/^Node packages restored from S3 cache .*\nthe command\n$/);
  expect(existsSync(join(sandbox.project, 'node_modules/one/index.js'))).toBe(true);
});
