/** `ensure` on a miss of a bundle: an install on top of the nearest older entry, by the real Bundler. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildGems } from '../fuzz/gems.ts';
import { rubyMissing } from '../support/gem-project.ts';
import { debris, expectExit, tool, useSandbox, wipe, writeFiles } from './support.ts';
import { mkdtemp } from 'node:fs/promises';

const sandbox = useSandbox();
let source = '';

beforeAll(async () => {
  source = await mkdtemp(join(tmpdir(), 'sandbox-cache-gem-source-'));
  await buildGems(source);
});
afterAll(() => rmSync(source, { recursive: true, force: true }));

const env = (): Record<string, string> => ({ BUNDLE_PATH: 'vendor/bundle', CACHE_VERBOSE: 'true' });

/** Gemfile and Gemfile.lock. */
async function want(gems: Record<string, string>): Promise<void> {
  const lines = Object.entries(gems).map(([name, version]) => `gem "${name}", "${version}"\n`);
  writeFiles(sandbox.project, { Gemfile: `source "file://${source}"\n\n${lines.join('')}` });
  await tool('bundle', ['lock'], { cwd: sandbox.project });
}

async function ensure(...args: string[]): Promise<string> {
  const { stdout, stderr } = expectExit(await sandbox.run(['ensure', 'bundle', ...args], { env: env() }), 0);
  expect(debris(sandbox.project)).toEqual([]);
  return stderr + stdout;
}

async function seen(name: string): Promise<string> {
  const script = `require "${name.toLowerCase()}/${name.toLowerCase()}"; print SEEN_${name}`;
  const { stdout } = await sandbox.script(`bundle exec ruby -e '${script}'`, { env: env() });
  return stdout;
}

const GEMS = { 'deep-native': '1.0.0', 'plain-native': '1.0.0', top: '1.0.0', leaf: '1.0.0', tool: '1.0.0' };

describe.skipIf((await rubyMissing()) !== undefined)('a bundle on top of an older entry', () => {
  it('keeps what did not change, and builds anew what was built against a gem that did', async () => {
    await want(GEMS);
    expect(await ensure()).toMatch(/^Ruby gems ready: installed and saved/m);
    expect(await seen('DEEP_NATIVE')).toContain('1.0.0');
    wipe(sandbox.project, 'vendor');
    await want({ ...GEMS, leaf: '1.1.0' });
    const output = await ensure();
    // Not leaf itself, and not the gem that was compiled against it.
    expect(output).toMatch(
      /^Ruby gems ready: 5 of 7 packages taken from \S+, the rest installed in .*; saved/m,
    );
    expect(output).not.toMatch(/Cache hit!|Cache restored successfully/);
    expect(await seen('DEEP_NATIVE')).toContain('1.1.0');
    wipe(sandbox.project, 'vendor');
    expect(await ensure()).toMatch(/^Ruby gems restored from S3/m);
  });

  it('is not tried where the bundle held more when it was saved, or on request', async () => {
    await want(GEMS);
    await ensure();
    await want({ ...GEMS, leaf: '1.1.0' });
    // On top of the bundle in place: the old gem stays.
    expect(await ensure('--no-fallback')).toMatch(/^Ruby gems ready: installed and saved/m);
    for (const key of sandbox.keys.slice()) {
      const { headers } = sandbox.server.bucket(sandbox.bucket).objects.get(key)!;
      if (headers['x-amz-meta-sandbox-cache-lineage'] !== undefined)
        sandbox.server.bucket(sandbox.bucket).objects.delete(key);
    }
    expect(sandbox.keys).toHaveLength(1);
    wipe(sandbox.project, 'vendor');
    await want({ ...GEMS, leaf: '2.0.0' });
    expect(await ensure()).toMatch(/^Ruby gems ready: installed and saved/m);
  });
});
