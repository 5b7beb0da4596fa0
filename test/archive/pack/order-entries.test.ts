import { expect, it } from 'vitest';
import type { TarEntry } from '../../../src/archive/format/tar-header.ts';
import { arranged } from '../../../src/archive/pack/order-entries.ts';

it('brings similar files together, links after files, directories after what is in them', () => {
  const file = (path: string): TarEntry => ({
    type: '0',
    path,
    linkPath: '',
    mode: 0o644,
    size: 1,
    mtimeUs: 0,
  });
  const directory = (path: string): TarEntry => ({ ...file(path), size: 0, type: '5' });
  const link = (path: string): TarEntry => ({ ...file(path), size: 0, type: '1', linkPath: 'a/esm/add.js' });
  const section = [
    file('a/esm/add.js'),
    file('a/esm/sub.js'),
    directory('a/esm/'),
    directory('a/'),
    link('b/aaa'),
    file('b/esm/add.js'),
    directory('b/esm/'),
    directory('b/'),
  ];
  expect(arranged(section).map((entry) => entry.path)).toEqual([
    'a/esm/add.js',
    'b/esm/add.js',
    'a/esm/sub.js',
    'b/aaa',
    'a/esm/',
    'a/',
    'b/esm/',
    'b/',
  ]);
});
