import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { cephMissing, startCeph } from './ceph.ts';

it.skipIf((await cephMissing()) !== undefined)(
  'a start that fails leaves no process and no file',
  async () => {
    const root = mkdtempSync(join(tmpdir(), 'sandbox-cache-test-'));
    onTestFinished(() => {
      vi.unstubAllEnvs();
      rmSync(root, { recursive: true, force: true });
    });
    const [bin, temporary] = [join(root, 'bin'), join(root, 'tmp')];
    mkdirSync(bin);
    mkdirSync(temporary);
    writeFileSync(join(bin, 'radosgw'), '#!/bin/sh\necho no gateway today\nexit 1\n');
    chmodSync(join(bin, 'radosgw'), 0o755);
    vi.stubEnv('PATH', `${bin}${delimiter}${process.env['PATH'] ?? ''}`);
    vi.stubEnv('TMPDIR', temporary);
    // The monitor, the store and the user are up by then.
    await expect(startCeph()).rejects.toThrow(/Ceph RGW did not start: [^]*no gateway today/);
    expect(readdirSync(temporary)).toEqual([]);
    expect(processesNaming(temporary)).toEqual([]);
  },
);

function processesNaming(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(commandLine)
    .filter((line) => line.includes(text));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
