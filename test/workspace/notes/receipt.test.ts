import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathOf } from '../../support/programs.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  readReceipt,
  removeReceipts,
  RECEIPT,
  writeReceipts,
  type Receipt,
} from '../../../src/workspace/notes/receipt.ts';

const MAIN = 'node_modules';
const OTHER = 'packages/a/node_modules';
const RECEIPT_OF_BOTH: Receipt = {
  key: 'prefix/npm-0123456789abcdef-linux-x64-node115.tar.gz',
  targets: [MAIN, OTHER],
  witness: '1 2',
  origin: 'unchecked',
  installSeconds: 12.5,
  bytes: 1000,
  files: 10,
};
const MARKER = { path: 'node_modules/.installed', sha256: 'ab'.repeat(32) };

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'sandbox-cache-receipt-'));
  for (const target of [MAIN, OTHER]) mkdirSync(join(project, target), { recursive: true });
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

describe('receipts', () => {
  it('come back as they were written', () => {
    expect(readReceipt(project, MAIN)).toBeUndefined();
    writeReceipts(project, RECEIPT_OF_BOTH, MARKER);
    expect(readReceipt(project, MAIN)).toEqual(RECEIPT_OF_BOTH);
    expect(readFileSync(join(project, MARKER.path), 'utf8').trim()).toBe(MARKER.sha256);
  });

  it.each([MAIN, OTHER])('notice that %s was wiped', (target) => {
    writeReceipts(project, RECEIPT_OF_BOTH, MARKER);
    rmSync(join(project, target), { recursive: true });
    expect(readReceipt(project, MAIN)).toBeUndefined();
    mkdirSync(join(project, target));
    expect(readReceipt(project, MAIN)).toBeUndefined();
  });

  it('do not count when one of them is of another entry', () => {
    writeReceipts(project, { ...RECEIPT_OF_BOTH, key: 'another', targets: [OTHER] }, MARKER);
    const other = readFileSync(join(project, OTHER, RECEIPT));
    writeReceipts(project, RECEIPT_OF_BOTH, MARKER);
    writeFileSync(join(project, OTHER, RECEIPT), other);
    expect(readReceipt(project, MAIN)).toBeUndefined();
  });

  it.each(['', '{', 'null', '[]', '{"key":"k"}', JSON.stringify({ ...RECEIPT_OF_BOTH, targets: [1] })])(
    'do not count when they read %s',
    (text) => {
      writeFileSync(join(project, MAIN, RECEIPT), text);
      expect(readReceipt(project, MAIN)).toBeUndefined();
    },
  );

  it('are no receipts when they are not plain files', () => {
    execFileSync('mkfifo', [join(project, MAIN, RECEIPT)]);
    expect(readReceipt(project, MAIN)).toBeUndefined();
    rmSync(join(project, MAIN, RECEIPT));
    writeFileSync(join(project, 'elsewhere'), JSON.stringify({ ...RECEIPT_OF_BOTH, targets: [MAIN] }));
    symlinkSync('../elsewhere', join(project, MAIN, RECEIPT));
    expect(readReceipt(project, MAIN)).toBeUndefined();
  });

  it('leave the times of the targets alone, to the microsecond', () => {
    for (const target of [MAIN, OTHER])
      utimesSync(join(project, target), 1_500_000_000.25, 1_600_000_000 + 0.1234575);
    writeReceipts(project, RECEIPT_OF_BOTH, MARKER);
    removeReceipts(project, [MAIN, OTHER], MARKER.path);
    writeReceipts(project, RECEIPT_OF_BOTH, MARKER);
    for (const target of [MAIN, OTHER]) {
      const { atimeNs, mtimeNs } = statSync(join(project, target), { bigint: true });
      expect([atimeNs / 1000n, mtimeNs / 1000n]).toEqual([1_500_000_000_250_000n, 1_600_000_000_123_457n]);
    }
  });

  it.each([0o000, 0o077])('have the same mode under umask %o', (umask) => {
    const before = process.umask(umask);
    try {
      writeReceipts(project, RECEIPT_OF_BOTH, { ...MARKER, path: '.bundle/.installed' });
    } finally {
      process.umask(before);
    }
    for (const path of [`${MAIN}/${RECEIPT}`, `${OTHER}/${RECEIPT}`, '.bundle/.installed']) {
      expect(statSync(join(project, path)).mode & 0o7777).toBe(0o644);
    }
  });

  it('are never written through a symlink', () => {
    const elsewhere = join(project, 'elsewhere');
    writeFileSync(elsewhere, 'precious');
    symlinkSync(elsewhere, join(project, MAIN, RECEIPT));
    symlinkSync(elsewhere, join(project, MARKER.path));
    writeReceipts(project, RECEIPT_OF_BOTH, MARKER);
    expect(readFileSync(elsewhere, 'utf8')).toBe('precious');
    expect(lstatSync(join(project, MARKER.path)).isFile()).toBe(true);
    expect(readReceipt(project, MAIN)).toEqual(RECEIPT_OF_BOTH);

    mkdirSync(join(project, 'somewhere'));
    symlinkSync('somewhere', join(project, '.bundle'));
    writeReceipts(project, RECEIPT_OF_BOTH, { ...MARKER, path: '.bundle/.installed' });
    expect(readdirSync(join(project, 'somewhere'))).toEqual([]);
  });

  it('leave nothing half-written behind', () => {
    writeReceipts(project, RECEIPT_OF_BOTH, MARKER);
    expect(readdirSync(join(project, MAIN)).sort()).toEqual(['.installed', RECEIPT]);
  });

  it('go with their marker, whatever is left of the targets', () => {
    writeReceipts(project, RECEIPT_OF_BOTH, MARKER);
    writeFileSync(join(project, MAIN, '.sandbox-cache-new-0123'), 'of a run that was killed');
    rmSync(join(project, OTHER), { recursive: true });
    removeReceipts(project, [MAIN, OTHER, 'never/there'], MARKER.path);
    expect(readdirSync(join(project, MAIN))).toEqual([]);
  });
});

interface Arborist {
  loadActual(): Promise<{ meta: { hiddenLockfile: boolean } }>;
}

/** The library that `npm` itself uses, of the npm on PATH. */
function arborist(): new (options: { path: string }) => Arborist {
  const npm = realpathSync(pathOf('npm')!);
  return createRequire(npm)('@npmcli/arborist') as new (options: { path: string }) => Arborist;
}

describe("npm's hidden lockfile", () => {
  it('still counts for npm after the receipt', async () => {
    mkdirSync(join(project, 'source'));
    writeFileSync(join(project, 'source/package.json'), JSON.stringify({ name: 'leaf', version: '1.0.0' }));
    const npm = (args: string[], cwd: string): void => {
      execFileSync('npm', [...args, '--offline', '--no-audit', '--no-fund'], { cwd, stdio: 'ignore' });
    };
    npm(['pack', '--pack-destination', project], join(project, 'source'));
    rmSync(join(project, MAIN), { recursive: true });
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'root', version: '1.0.0' }));
    npm(['install', './leaf-1.0.0.tgz'], project);
    const Loader = arborist();
    const usesHiddenLockfile = async (): Promise<boolean> =>
      (await new Loader({ path: project }).loadActual()).meta.hiddenLockfile;

    expect(existsSync(join(project, MAIN, '.package-lock.json'))).toBe(true);
    expect(await usesHiddenLockfile()).toBe(true);
    writeReceipts(project, { ...RECEIPT_OF_BOTH, targets: [MAIN] }, MARKER);
    expect(await usesHiddenLockfile()).toBe(true);
    // The test can tell: a file written without care makes npm look at every package again.
    writeFileSync(join(project, MAIN, '.careless'), '');
    expect(await usesHiddenLockfile()).toBe(false);
  });
});
