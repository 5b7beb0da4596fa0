import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { CorpusSource } from './corpus.ts';

const run = promisify(execFile);
const MAKE_GEMS = fileURLToPath(new URL('./make-gems.rb', import.meta.url));
const COPIES = 8;
const INSTALL_MS = 900_000;

/** V: a real `bundle install` of gems made on the spot (see make-gems.rb), one of them compiled. */
export const vendorCorpus: CorpusSource = {
  name: 'V',
  title: "vendor/bundle, installed by Bundler from gems made of Ruby's standard library",
  version: '1',
  roots: ['vendor/bundle'],
  lockfiles: ['Gemfile', 'Gemfile.lock'],
  recipe: ['bundle'],
  async make(dir) {
    const server = await mkdtemp(join(tmpdir(), 'sandbox-cache-bench-gems-'));
    try {
      await run('ruby', [MAKE_GEMS, server, String(COPIES)], { timeout: INSTALL_MS });
      await cp(join(server, 'Gemfile'), join(dir, 'Gemfile'));
      const env = { ...process.env, BUNDLE_PATH: 'vendor/bundle', BUNDLE_JOBS: '2' };
      await run('bundle', ['install', '--quiet'], { cwd: dir, env, timeout: INSTALL_MS });
    } finally {
      await rm(server, { recursive: true });
    }
    await dropDownloads(join(dir, 'vendor/bundle/ruby'));
  },
};

/** An entry leaves the downloaded `.gem` files out, so a rival must not be charged for them. */
async function dropDownloads(ruby: string): Promise<void> {
  for (const abi of await readdir(ruby)) {
    const cache = join(ruby, abi, 'cache');
    for (const name of await readdir(cache)) if (name.endsWith('.gem')) await rm(join(cache, name));
  }
}
