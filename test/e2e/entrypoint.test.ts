/** An entrypoint under `set -e` ends with the gems in place, whatever the cache does: on, off, read-only or broken. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePorts } from '../support/ports.ts';
import { copyTree, describeFixture, sharedFixture } from '../support/fixtures.ts';
import { bundleEnvironment } from '../support/gem-project.ts';
import { type CliResult, expectExit, tool, useSandbox, wipe } from './support.ts';

const sandbox = useSandbox();

/** As the image or the entrypoint sets it: Bundler installs into its system gems without. */
const PATH = { BUNDLE_PATH: 'vendor/bundle' };
const run = (args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> =>
  sandbox.run(args, { env: { ...PATH, ...env } });

const PATTERN = `
if sandbox-cache restore bundle; then
  echo "from the cache"
else
  bundle install --quiet
  sandbox-cache save bundle || true
fi
echo "end of the entrypoint"
`;
const ENSURE = `
sandbox-cache ensure bundle
echo "end of the entrypoint"
`;

/** Each state of the cache: what it puts into the environment, and what it does before. */
const STATES: Record<string, () => Promise<Record<string, string | undefined>>> = {
  'on, empty': async () => ({}),
  'on, with the entry': async () => {
    await fill();
    return {};
  },
  off: async () => ({ CACHE_S3_BUCKET: '' }),
  'read-only, empty': async () => ({ CACHE_READONLY: 'true' }),
  'read-only, with the entry': async () => {
    await fill();
    return { CACHE_READONLY: 'true' };
  },
  'a dead endpoint': async () => ({ AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(await freePorts(1))[0]}` }),
  'a wrong secret': async () => ({ AWS_SECRET_ACCESS_KEY: 'wrong' }),
  'a corrupt entry': async () => {
    await fill();
    sandbox.alter((body) => (body.writeUInt8(body[2000]! ^ 1, 2000), body));
    return {};
  },
};

describeFixture('an entrypoint', await sharedFixture('gems'), (fixture) => {
  describe.each(Object.keys(STATES))('with the cache %s', (state) => {
    it.each([
      ['the pattern of the old library', 'set -e', PATTERN],
      ['ensure', 'set -euo pipefail', ENSURE],
    ])('%s ends with the gems in place', async (name, options, script) => {
      wipe(sandbox.folder, 'project');
      await copyTree(fixture.folder, sandbox.project);
      const env = await STATES[state]!();
      wipe(sandbox.project, 'vendor', '.bundle');
      const result = expectExit(
        await sandbox.script(`${options}\n${script}`, { env: { ...PATH, ...env } }),
        0,
      );
      expect(result.stdout).toMatch(/end of the entrypoint\n$/);
      const shell = { cwd: sandbox.project, env: bundleEnvironment(sandbox.project) };
      expect(await tool('bundle', ['exec', 'fixture-greet'], shell)).toBe('twice 21 is 42\n');
      expect(result.stdout.includes('Ruby gems restored from S3 cache')).toBe(
        state.endsWith('with the entry'),
      );
      if (state === 'on, empty' || state === 'a corrupt entry') {
        wipe(sandbox.project, 'vendor', '.bundle');
        expectExit(await run(['restore', 'bundle']), 0);
      }
      if (state.startsWith('read-only, empty')) expect(sandbox.keys).toEqual([]);
      if (state === 'off') expect(result.stderr, name).not.toContain('[');
    });
  });

  it('ensure ends with the status of an installer that failed, or with 4 when the install is not usable', async () => {
    wipe(sandbox.folder, 'project');
    await copyTree(fixture.folder, sandbox.project);
    wipe(sandbox.project, 'vendor');
    const failed = expectExit(await run(['ensure', 'bundle', '--', 'sh', '-c', 'exit 17']), 17);
    expect(failed.stderr).toMatch(
      /^\[cache\] warning: "sh -c exit 17" ended with status 17\. It ran without [^\n]+\n$/,
    );
    const useless = expectExit(await run(['ensure', 'bundle', '--', 'true']), 4);
    expect(useless.stderr).toMatch(
      /^\[cache\] error: bundle is still not usable after the install: .* \[VERIFY_FAILED\]\n$/,
    );
    expect(sandbox.keys).toEqual([]);
  });

  it('ensure leaves a tree alone that is there and passes its verification, whatever the cache did', async () => {
    wipe(sandbox.folder, 'project');
    await copyTree(fixture.folder, sandbox.project);
    const args = ['ensure', 'bundle', '--json', '--', 'sh', '-c', 'rm -rf vendor; exit 17'];
    const off = expectExit(await run(args, { CACHE_S3_BUCKET: '' }), 0);
    expect(JSON.parse(off.stdout)).toMatchObject({ results: [{ by: 'tree', saved: 'not saved' }] });
    const missed = expectExit(await run(args), 0);
    expect(JSON.parse(missed.stdout)).toMatchObject({ results: [{ by: 'tree', saved: 'saved' }] });
    expect(sandbox.keys).toHaveLength(1);
  });

  it('ensure --json leaves stdout to the document', async () => {
    wipe(sandbox.folder, 'project');
    await copyTree(fixture.folder, sandbox.project);
    wipe(sandbox.project, 'vendor');
    const result = expectExit(await run(['ensure', 'bundle', '--json']), 0);
    expect(JSON.parse(result.stdout)).toMatchObject({
      exitCode: 0,
      results: [{ recipe: 'bundle', type: 'ensured', by: 'install', saved: 'saved' }],
    });
    expect(result.stderr).toContain('Bundle complete');
  });

  it('warm fills the cache, and looks up only where there is an entry', async () => {
    wipe(sandbox.folder, 'project');
    await copyTree(fixture.folder, sandbox.project);
    wipe(sandbox.project, 'vendor');
    expect(expectExit(await run(['warm']), 0).stdout).toMatch(/^Ruby gems saved to s3:/m);
    wipe(sandbox.project, 'vendor');
    sandbox.server.requests.length = 0;
    const again = expectExit(await run(['warm']), 0);
    expect(again.stdout).toMatch(/^Ruby gems already cached at s3:/);
    expect(sandbox.server.count('PutObject') + sandbox.server.count('CreateMultipartUpload')).toBe(0);
    const readonly = expectExit(await run(['warm'], { CACHE_READONLY: 'true' }), 2);
    expect(readonly.stderr).toMatch(
      /^\[cache\] error: There is no cache to warm: CACHE_READONLY is set.*\[CONFIG_INVALID\]\n$/,
    );
  });
});

/** The entry that the project's tree makes. */
async function fill(): Promise<void> {
  expectExit(await run(['save', 'bundle']), 0);
  wipe(join(sandbox.project), '.bundle');
}
