/** Mounts folding-process.ts, so that a test meets a file system on which `foo` and `FOO` are one name. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { bundleScript } from '../workspace/scripts.ts';
import { whyNoMounts } from '../workspace/kinds.ts';

export interface FoldingDisk {
  path: string;
  /** From now on it answers nothing, like a server that is gone. */
  freeze(): void;
  unmount(): Promise<void>;
}

/** Why there can be none here, if so; in CI mounting has to be possible. */
export function whyNoFolding(): string | undefined {
  return whyNoMounts() ?? (existsSync('/dev/fuse') ? undefined : 'no /dev/fuse');
}

export async function mountFoldingDisk(): Promise<FoldingDisk> {
  const path = mkdtempSync(join(tmpdir(), 'sandbox-cache-folding-'));
  const script = await bundleScript('../support/folding-process');
  const server = spawn(process.execPath, [script.path, path], { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  server.stderr.on('data', (data) => (output += data));
  const ended = new Promise<void>((resolve) => server.once('close', () => resolve()));
  await Promise.race([
    new Promise((resolve) => server.stdout.once('data', resolve)),
    ended.then(() => Promise.reject(new Error(`no file system at ${path}: ${output}`))),
  ]);
  script.remove();
  return {
    path,
    freeze: () => void server.kill('SIGSTOP'),
    async unmount() {
      server.kill('SIGCONT');
      // Lazily: the kernel may be waiting for an answer that this very process is to wait for.
      execFileSync('umount', ['-l', path]);
      await ended;
      rmdirSync(path);
    },
  };
}
