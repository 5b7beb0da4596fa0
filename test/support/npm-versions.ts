/** Versions of npm out of its registry, beside the one that is installed here. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const VERSIONS = ['10.9.9', '11.21.2'];

export interface NpmVersions {
  /** The folders of the packages. */
  folders: string[];
}

/** @throws Error with npm's own words when the registry cannot be reached */
export async function buildNpmVersions(root: string): Promise<NpmVersions> {
  const folders = [];
  for (const version of VERSIONS) {
    const prefix = join(root, `npm-${version}`);
    await mkdir(prefix, { recursive: true });
    const quiet = ['--no-audit', '--no-fund', '--no-save', '--loglevel=error', '--no-update-notifier'];
    await run('npm', ['install', '--prefix', prefix, ...quiet, `npm@${version}`], { timeout: 180_000 });
    folders.push(join(prefix, 'node_modules/npm'));
  }
  return { folders };
}
