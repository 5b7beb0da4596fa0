/** The user's guide, "Verify Setup" and "Monitoring and Maintenance": each step with the lines that it promises. */
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findProgram } from '../support/daemon.ts';
import { copyTree, describeFixture, sharedFixture } from '../support/fixtures.ts';
import { cacheLines, DEPS, expectExit, makeProject, tool, useSandbox, wipe } from './support.ts';

const sandbox = useSandbox();
const aws = await findProgram('aws');

/** What claude-sandbox's entrypoint does for each kind of dependency. */
const ENTRYPOINT = `
set -euo pipefail
if sandbox-cache restore bundle; then
  echo "restored"
else
  bundle install --quiet
  sandbox-cache save bundle || true
fi
bundle exec fixture-greet
`;

describeFixture('Verify Setup', await sharedFixture('gems'), (fixture) => {
  it('first run: a miss and a save; second run: a hit; then nothing to do', async () => {
    wipe(sandbox.folder, 'project');
    await copyTree(fixture.folder, sandbox.project);
    wipe(sandbox.project, 'vendor');
    const env = { CACHE_VERBOSE: 'true', BUNDLE_PATH: 'vendor/bundle' };
    const sum = (await tool('sha256sum', [join(sandbox.project, 'Gemfile.lock')])).slice(0, 16);

    const first = expectExit(await sandbox.script(ENTRYPOINT, { env }), 0);
    const url = `s3://${sandbox.bucket}/${sandbox.key}`;
    expect(sandbox.key).toMatch(
      new RegExp(`^claude-sandbox-cache/bundle-${sum}-linux-\\w+-ruby[\\d.]+\\.tar\\.gz$`),
    );
    expect(cacheLines(first)).toEqual(
      expect.arrayContaining([
        `Cache miss for bundle (${sum})`,
        `Saving to cache: ${url}`,
        'Cache saved successfully',
      ]),
    );
    expect(first.stdout).toContain('twice 21 is 42');

    wipe(sandbox.project, 'vendor', '.bundle');
    const second = expectExit(await sandbox.script(ENTRYPOINT, { env }), 0);
    expect(cacheLines(second)).toEqual(
      expect.arrayContaining(['Cache hit! Downloading from S3...', 'Cache restored successfully']),
    );
    expect(second.stdout).toMatch(/^Ruby gems restored from S3 cache \(.+\)\nrestored\ntwice 21 is 42\n$/);

    const third = expectExit(await sandbox.script(ENTRYPOINT, { env }), 0);
    expect(cacheLines(third)).toEqual([`Already in place: ${sandbox.key}`]);
    const again = expectExit(await sandbox.run(['save', 'bundle'], { env }), 0);
    expect(cacheLines(again)).toEqual([`Cache already exists: ${url}`]);
  });
});

it('without CACHE_VERBOSE nothing is on stderr', async () => {
  makeProject(sandbox.project);
  for (const args of [['save', ...DEPS], ['restore', ...DEPS], ['list'], ['key', ...DEPS]]) {
    expect(expectExit(await sandbox.run(args), 0).stderr).toBe('');
  }
});

it('the entry is what tar shows: paths from the project directory on', async () => {
  makeProject(sandbox.project);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  const body = sandbox.server.read(sandbox.bucket, sandbox.key)!;
  const listed = execFileSync('tar', ['-tzf', '-'], { input: body, encoding: 'utf8' });
  expect(
    listed
      .split('\n')
      .filter(Boolean)
      .map((path) => path.replace(/\/$/, ''))
      .sort(),
  ).toEqual(['deps', 'deps/empty.txt', 'deps/tool', 'deps/tool/data.txt', 'deps/tool/run.sh']);
  wipe(sandbox.project, 'deps');
  execFileSync('tar', ['-xzf', '-'], { input: body, cwd: sandbox.project });
  expect(execFileSync(join(sandbox.project, 'deps/tool/run.sh'), { encoding: 'utf8' })).toBe('tool\n');
});

it.skipIf(aws === undefined)("the guide's own AWS commands see the entries", async () => {
  makeProject(sandbox.project);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  const env = { HOME: process.env['HOME'] };
  const script = `
    set -euo pipefail
    aws s3 ls "s3://$CACHE_S3_BUCKET/claude-sandbox-cache/" --recursive --human-readable --summarize
    aws s3 cp "s3://$CACHE_S3_BUCKET/${sandbox.key}" - | tar -tzf - | sed -n 1,20p`;
  const { stdout } = expectExit(await sandbox.script(script, { env }), 0);
  expect(stdout).toContain(sandbox.key);
  expect(stdout).toMatch(/Total Objects: 1$/m);
  expect(stdout).toMatch(/^deps\/tool\/run\.sh$/m);
});

it('list, inspect and prune show, look into and delete entries', async () => {
  makeProject(sandbox.project);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  const { key } = sandbox;
  const old = key.replace(/[0-9a-f]{16}/, '0123456789abcdef');
  const day = 24 * 3600 * 1000;
  sandbox.server.place(sandbox.bucket, {
    key: old,
    body: Buffer.alloc(1234),
    modified: new Date(Date.now() - 40 * day),
  });
  const strange = 'claude-sandbox-cache/notes.txt';
  sandbox.server.place(sandbox.bucket, { key: strange, body: Buffer.alloc(9), modified: new Date(0) });

  const listed = expectExit(await sandbox.run(['list']), 0).stdout.split('\n');
  expect(listed[0]).toMatch(/^RECIPE +SIZE +AGE +RUNTIME +KEY$/);
  expect(listed.slice(1, 3).map((line) => line.split(/ {2,}/).at(-1))).toEqual([key, old]);
  expect(listed[2]).toMatch(/^deps +1\.2 kB +40 d +linux-/);
  expect(listed[3]).toMatch(/^2 entries, /);

  const short = key.split('/').at(-1)!;
  for (const what of [key, short, `s3://${sandbox.bucket}/${key}`]) {
    const { stdout } = expectExit(await sandbox.run(['inspect', what]), 0);
    expect(stdout).toMatch(/^-0755 +\d+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +deps\/tool\/run\.sh$/m);
    expect(stdout).toMatch(/^-0644 +5000 +2020-09-13 12:26:40 +deps\/tool\/data\.txt$/m);
  }

  const dry = expectExit(await sandbox.run(['prune', '--older-than', '30d', '--dry-run']), 0);
  expect(dry.stdout).toMatch(new RegExp(`^Would delete s3://${sandbox.bucket}/${old} `));
  expect(sandbox.keys).toHaveLength(3);
  const pruned = expectExit(await sandbox.run(['prune', '--older-than', '30d']), 0);
  expect(pruned.stdout).toMatch(/^Deleted 1 of 2 entries/m);
  expect(sandbox.keys).toEqual([key, strange].sort());
  expectExit(await sandbox.run(['prune', '--keep', '0'], { env: { CACHE_READONLY: 'true' } }), 2);
  expectExit(await sandbox.run(['prune', 'other', '--keep', '0']), 0);
  expect(sandbox.keys).toContain(key);
  expectExit(await sandbox.run(['prune', '--keep', '0', '--yes']), 0);
  expect(sandbox.keys).toEqual([strange]);
  expect(expectExit(await sandbox.run(['list']), 0).stdout).toBe('No entries.\n');
});

it('prefixes of several parts keep environments apart', async () => {
  makeProject(sandbox.project);
  const prod = { CACHE_S3_PREFIX: 'prod/claude-sandbox-cache' };
  const team = { CACHE_S3_PREFIX: '/team-platform/cache/' };
  expectExit(await sandbox.run(['save', ...DEPS], { env: prod }), 0);
  expect(sandbox.key).toMatch(/^prod\/claude-sandbox-cache\/deps-/);
  wipe(sandbox.project, 'deps');
  expectExit(await sandbox.run(['restore', ...DEPS], { env: team }), 1);
  expect(expectExit(await sandbox.run(['list'], { env: team }), 0).stdout).toBe('No entries.\n');
  expectExit(await sandbox.run(['restore', ...DEPS], { env: prod }), 0);
});

it('.env.claude-sandbox is read, the real environment wins, and a readable secret is warned of once', async () => {
  makeProject(sandbox.project);
  const lines = Object.entries({ ...sandbox.env, CACHE_S3_BUCKET: 'of-the-file' }).map((pair) =>
    pair.join('='),
  );
  const file = join(sandbox.project, '.env.claude-sandbox');
  writeFileSync(file, `# S3 Cache Configuration\n${lines.join('\n')}\nCACHE_VERBOSE=true\n`);
  chmodSync(file, 0o644);
  const nothing = Object.fromEntries(Object.keys(sandbox.env).map((name) => [name, undefined]));
  const env = { ...nothing, CACHE_S3_BUCKET: sandbox.bucket, CACHE_VERBOSE: '' };
  const saved = expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
  expect(cacheLines(saved)).toContain(`Saving to cache: s3://${sandbox.bucket}/${sandbox.key}`);
  expect(saved.stderr.match(/^\[cache\] warning: .*chmod 600/gm)).toHaveLength(1);
  chmodSync(file, 0o600);
  const missing = expectExit(await sandbox.run(['list'], { env: nothing }), 3);
  expect(missing.stderr).toMatch(
    /^\[cache\] error: Bucket of-the-file does not exist .* \[STORE_NO_BUCKET\]\n$/,
  );
});
