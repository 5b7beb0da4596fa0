/** Real libraries, made with the compiler; systems are folders that look like one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CompiledFile } from '../../src/compiled/compiled-file.ts';
import { readDynamicFile } from '../../src/compiled/dynamic.ts';
import { createMachine, type Machine } from '../../src/compiled/machine.ts';
import { needsOf, unmetNeeds } from '../../src/compiled/needs.ts';

const hasCompiler = spawnSync('gcc', ['--version']).status === 0;

let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-compiled-'))));
afterAll(() => rmSync(dir, { recursive: true }));

function write(path: string, content: string | Buffer): string {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), content);
  return join(dir, path);
}

interface Library {
  /** Symbol versions that it offers, each with one function of that name in lower case, e.g. `GLIBC_2.31`. */
  versions?: readonly string[];
  /** Functions that it calls. */
  calls?: readonly string[];
  /** Paths of libraries that it is linked with. */
  with?: readonly string[];
}

const functionOf = (version: string): string => version.toLowerCase().replaceAll('.', '_');

/** Compiles `path`, whose name is its soname. */
function compile(path: string, library: Library): string {
  const { versions = [], calls = [], with: others = [] } = library;
  const functions = versions.map((version) => `int ${functionOf(version)}(void) { return 1; }`);
  const called = calls.map((name) => `extern int ${name}(void); int of_${name}(void) { return ${name}(); }`);
  const source = write(`${path}.c`, [...functions, ...called, ''].join('\n'));
  const nodes = versions.map((version) => `${version} { global: ${functionOf(version)}; };`);
  const script =
    versions.length === 0 ? [] : [`-Wl,--version-script=${write(`${path}.map`, nodes.join('\n'))}`];
  const target = join(dir, path);
  const options = ['-shared', '-fPIC', '-nostdlib', `-Wl,-soname,${basename(path)}`, ...script];
  execFileSync('gcc', [...options, '-o', target, source, ...others]);
  return target;
}

const compiled = (path: string): CompiledFile => ({ name: basename(path), ...readDynamicFile(path)! });
const system = (name: string, env: Record<string, string> = {}): Machine =>
  createMachine({ env, root: join(dir, name) });

/** A loader's cache as glibc writes it. */
function loaderCache(libraries: Readonly<Record<string, string>>): Buffer {
  const names = Object.entries(libraries);
  const head = Buffer.alloc(48 + 24 * names.length);
  head.write('glibc-ld.so.cache1.1', 'latin1');
  head.writeUInt32LE(names.length, 20);
  let text = '';
  names.forEach(([name, path], i) => {
    head.writeUInt32LE(head.length + text.length, 48 + i * 24 + 4);
    text += `${name}\0`;
    head.writeUInt32LE(head.length + text.length, 48 + i * 24 + 8);
    text += `${path}\0`;
  });
  return Buffer.concat([head, Buffer.from(text, 'latin1')]);
}

describe('the image', () => {
  it.each([
    ['debian12', 'ID=debian\nVERSION_ID="12"\n'],
    ['ubuntu24', 'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n'],
    ['alpine3', 'ID=alpine\nVERSION_ID=3.19.1\n'],
    ['opensuse-leap15', 'ID="opensuse-leap"\nVERSION_ID="15.5"\n'],
    ['musl', 'ID=arch\n'],
    ['musl', 'ID="a b"\nVERSION_ID=1\n'],
    ['musl', ''],
  ])('is %s', (image, text) => {
    write(`os-${image}/etc/os-release`, text);
    expect(system(`os-${image}`).image()).toBe(image);
  });

  it('is found in the other place too', () => {
    write('os-usr/usr/lib/os-release', 'ID=debian\nVERSION_ID="11"\n');
    expect(system('os-usr').image()).toBe('debian11');
  });
});

describe.skipIf(!hasCompiler)('compiled files', () => {
  let user: string;

  beforeAll(() => {
    for (const folder of ['old/lib', 'new/lib', 'new/opt', 'tree', 'stub'])
      mkdirSync(join(dir, folder), { recursive: true });
    write('old/etc/os-release', 'ID=debian\nVERSION_ID="11"\n');
    compile('old/lib/libc.so.6', { versions: ['GLIBC_2.9', 'GLIBC_2.31'] });
    const libc = compile('new/lib/libc.so.6', { versions: ['GLIBC_2.9', 'GLIBC_2.31', 'GLIBC_2.36'] });
    const cxx = compile('new/lib/libstdc++.so.6', { versions: ['GLIBCXX_3.4.30', 'CXXABI_1.3.13'] });
    const pq = compile('new/opt/libpq.so.5', { calls: [] });
    write(
      'new/etc/ld.so.cache',
      loaderCache({ 'libpq.so.5': '/opt/libpq.so.5', 'libgone.so.1': '/opt/libgone.so.1' }),
    );
    const own = compile('tree/libown.so.1', { calls: [] });
    const gpu = compile('stub/libgpu.so.1', { calls: [] });
    const calls = ['glibc_2_9', 'glibc_2_36', 'glibcxx_3_4_30', 'cxxabi_1_3_13'];
    const linked = ['-Wl,--no-as-needed', libc, cxx, pq, own, gpu];
    user = compile('tree/user.node', { calls, with: linked });
  });

  it('say what they need and what they offer', () => {
    expect(readDynamicFile(join(dir, 'new/lib/libc.so.6'))).toMatchObject({
      soname: 'libc.so.6',
      versions: ['libc.so.6', 'GLIBC_2.9', 'GLIBC_2.31', 'GLIBC_2.36'],
    });
    const file = readDynamicFile(user);
    expect(file?.arch).toBe(process.arch);
    expect(file?.needed).toEqual(['libc.so.6', 'libstdc++.so.6', 'libpq.so.5', 'libown.so.1', 'libgpu.so.1']);
    expect(file?.neededVersions).toEqual(
      expect.arrayContaining([
        { library: 'libc.so.6', version: 'GLIBC_2.9' },
        { library: 'libc.so.6', version: 'GLIBC_2.36' },
        { library: 'libstdc++.so.6', version: 'CXXABI_1.3.13' },
      ]),
    );
  });

  it('come to the highest versions and to libraries outside the tree, of what the saving machine has', () => {
    const files = [compiled(user), compiled(join(dir, 'tree/libown.so.1'))];
    const expected = 'CXXABI_1.3.13 GLIBCXX_3.4.30 GLIBC_2.36 libpq.so.5 libstdc++.so.6';
    expect(needsOf(files, system('new'), process.arch)).toBe(expected);
    expect(needsOf(files, system('old'), process.arch)).toBe('GLIBC_2.9');
    expect(needsOf(files, system('new'), 'another')).toBe('');
    expect(needsOf([], system('new'), process.arch)).toBe('');
    const withGpu = system('new', { LD_LIBRARY_PATH: `relative:${join(dir, 'stub')}` });
    expect(needsOf(files, withGpu, process.arch)).toContain('libgpu.so.1');
  });

  it('are met by the machine that saved, and elsewhere what is missing has a name', () => {
    const needs = 'CXXABI_1.3.13 GLIBC_2.36 libpq.so.5';
    expect(unmetNeeds(needs, system('new'))).toEqual([]);
    expect(unmetNeeds(needs, system('old'))).toEqual(['CXXABI_1.3.13', 'GLIBC_2.36', 'libpq.so.5']);
    expect(unmetNeeds('GLIBC_2.10', system('old'))).toEqual([]);
    expect(unmetNeeds('libgone.so.1', system('new'))).toEqual(['libgone.so.1']);
    expect(unmetNeeds('', system('old'))).toEqual([]);
  });

  it('never make a record longer than what travels with an entry', () => {
    const many: CompiledFile = { ...compiled(user), needed: [], neededVersions: [] };
    for (let i = 0; i < 500; i++) many.needed.push(`lib${i}.so.1`);
    const machine: Machine = { hasLibrary: () => true, versionsOf: () => [], image: () => '' };
    expect(needsOf([many], machine, process.arch).length).toBeLessThanOrEqual(1024);
  });

  it('cut or bent at any byte are never an error', () => {
    const bytes = readFileSync(user);
    const bent = join(dir, 'bent');
    for (let at = 0; at < bytes.length; at += 37) {
      writeFileSync(bent, bytes.subarray(0, at));
      readDynamicFile(bent);
      const changed = Buffer.from(bytes);
      changed[at] = changed[at]! ^ 0xff;
      writeFileSync(bent, changed);
      readDynamicFile(bent);
    }
    expect(readDynamicFile(join(dir, 'nowhere'))).toBeUndefined();
    expect(readDynamicFile(write('script', '#!/bin/sh\n'))).toBeUndefined();
  });
});

it('this machine has its own C library', () => {
  const machine = createMachine({ env: {} });
  const header = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const glibc = header.header.glibcVersionRuntime;
  if (glibc === undefined) return;
  expect(unmetNeeds(`GLIBC_${glibc} libc.so.6`, machine)).toEqual([]);
  expect(unmetNeeds(`GLIBC_${Number.parseInt(glibc, 10) + 1}.0`, machine)).toHaveLength(1);
});
