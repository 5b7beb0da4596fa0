import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readElfHeader } from '../../../src/compiled/elf-header.ts';
import { npmRecipe } from '../../../src/recipes/npm/recipe.ts';
import { platformOf, runtime, runtimeOf } from '../../../src/recipes/support/runtime.ts';

const signal = new AbortController().signal;

let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-runtime-'))));
afterAll(() => rmSync(dir, { recursive: true }));

interface Program {
  wide?: boolean;
  little?: boolean;
  machine: number;
  loader?: string;
}

/** The headers of an ELF program, as the System V ABI lays them out: one PT_NOTE before the PT_INTERP. */
function elf({ wide = true, little = true, machine, loader }: Program): Buffer {
  const bytes = Buffer.alloc(1024);
  const u16 = (at: number, value: number): unknown =>
    little ? bytes.writeUInt16LE(value, at) : bytes.writeUInt16BE(value, at);
  const u32 = (at: number, value: number): unknown =>
    little ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at);
  const word = (at: number, value: number): unknown =>
    !wide
      ? u32(at, value)
      : little
        ? bytes.writeBigUInt64LE(BigInt(value), at)
        : bytes.writeBigUInt64BE(BigInt(value), at);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1]);
  u16(18, machine);
  word(wide ? 32 : 28, 128);
  const size = wide ? 56 : 32;
  u16(wide ? 54 : 42, size);
  u16(wide ? 56 : 44, loader === undefined ? 1 : 2);
  u32(128, 4);
  if (loader !== undefined) {
    u32(128 + size, 3);
    word(128 + size + (wide ? 8 : 4), 512);
    word(128 + size + (wide ? 32 : 16), loader.length + 1);
    bytes.write(loader, 512, 'latin1');
  }
  return bytes;
}

function file(name: string, content: Buffer | string): string {
  const path = join(dir, name);
  writeFileSync(path, content, { mode: 0o755 });
  return path;
}

describe('readElfHeader', () => {
  it.each<[Program, string | undefined]>([
    [{ machine: 62, loader: '/lib64/ld-linux-x86-64.so.2' }, 'x64'],
    [{ machine: 62, loader: '/lib/ld-musl-x86_64.so.1' }, 'x64'],
    [{ machine: 183, loader: '/lib/ld-linux-aarch64.so.1' }, 'arm64'],
    [{ machine: 40, wide: false, loader: '/lib/ld-musl-armhf.so.1' }, 'arm'],
    [{ machine: 22, little: false, loader: '/lib/ld64.so.1' }, 's390x'],
    [{ machine: 62 }, 'x64'],
    [{ machine: 9999 }, undefined],
  ])('reads %j', (program, arch) => {
    expect(readElfHeader(file('program', elf(program)))).toEqual({ arch, loader: program.loader });
  });

  it.runIf(process.platform === 'linux')('reads the program that runs this', () => {
    expect(readElfHeader(process.execPath)?.arch).toBe(process.arch);
  });

  it.each([
    ['a script', '#!/bin/sh\n'],
    ['an empty file', ''],
    ['a header that was cut off', elf({ machine: 62 }).subarray(0, 40)],
  ])('takes %s for no program', (_, content) =>
    expect(readElfHeader(file('other', content))).toBeUndefined(),
  );

  it('takes a missing file for no program', () =>
    expect(readElfHeader(join(dir, 'nowhere'))).toBeUndefined());
});

describe.runIf(process.platform === 'linux')('runtime', () => {
  it('describes the interpreter, not the Node that asks', () => {
    const musl = file('ruby-musl', elf({ machine: 183, loader: '/lib/ld-musl-aarch64.so.1' }));
    expect(runtime('ruby3.1.0', musl)).toBe('linux-arm64-musl-ruby3.1.0');
    const glibc = file('ruby-glibc', elf({ machine: 62, loader: '/lib64/ld-linux-x86-64.so.2' }));
    expect(runtime('ruby3.1.0', glibc)).toBe('linux-x64-ruby3.1.0');
  });

  it('follows a loader that is a link, as in Alpine with a glibc name', () => {
    symlinkSync('ld-musl-x86_64.so.1', join(dir, 'ld-linux.so.2'));
    file('ld-musl-x86_64.so.1', '');
    expect(platformOf(file('linked', elf({ machine: 62, loader: join(dir, 'ld-linux.so.2') }))).libc).toBe(
      'musl',
    );
  });

  it('lets the running Node stand in for a script', () => {
    expect(runtime('node115', file('shim', '#!/bin/sh\n'))).toBe(runtime('node115'));
  });

  it('says what Node’s own report says', () => {
    const report = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
    expect(platformOf()).toEqual({
      os: 'linux',
      arch: process.arch,
      libc: report.header.glibcVersionRuntime === undefined ? 'musl' : 'glibc',
    });
  });

  it('holds nothing that a key may not', () => {
    expect(runtime('Python 3.12 (main)/x')).toMatch(/-Python_3\.12_main_x$/);
    expect(runtime('')).toBe(`linux-${process.arch}${platformOf().libc === 'musl' ? '-musl' : ''}`);
  });
});

describe('the ABI of npm', () => {
  const project = (path: string): { dir: string; lockfile: string; env: Record<string, string> } => ({
    dir,
    lockfile: 'package-lock.json',
    env: { PATH: path },
  });

  it('is known without starting the node that runs this', async () => {
    const folder = mkdtempSync(join(dir, 'bin-'));
    symlinkSync(process.execPath, join(folder, 'node'));
    // Nothing can be started in a folder that is not there.
    const nowhere = { ...project(folder), dir: join(dir, 'nowhere') };
    expect(await npmRecipe.abi(nowhere, signal)).toBe(`node${process.versions.modules}`);
    expect(await runtimeOf(npmRecipe, project(folder), signal)).toBe(
      runtime(`node${process.versions.modules}`),
    );
  });

  it('is asked of any other', async () => {
    const folder = mkdtempSync(join(dir, 'bin-'));
    writeFileSync(join(folder, 'node'), `#!/bin/sh\nexec '${process.execPath}' "$@"\n`, { mode: 0o755 });
    const env = { PATH: folder, NODE_OPTIONS: '--no-such-option' };
    expect(await npmRecipe.abi({ ...project(folder), env }, signal)).toBe(`node${process.versions.modules}`);
    writeFileSync(join(folder, 'node'), '#!/bin/sh\necho 127\n');
    expect(await npmRecipe.abi(project(folder), signal)).toBe('node127');
  });

  it('is a clear failure where node is missing or broken', async () => {
    const folder = mkdtempSync(join(dir, 'bin-'));
    await expect(npmRecipe.abi(project(folder), signal)).rejects.toMatchObject({
      code: 'RUNTIME_MISSING',
      message: `There is no program node; PATH is ${folder}`,
    });
    writeFileSync(join(folder, 'node'), '#!/bin/sh\necho broken >&2\nexit 3\n', { mode: 0o755 });
    await expect(npmRecipe.abi(project(folder), signal)).rejects.toMatchObject({
      code: 'RUNTIME_MISSING',
      message: 'node cannot tell its module version: broken',
    });
  });
});
