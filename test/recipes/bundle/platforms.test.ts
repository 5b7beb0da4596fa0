import { describe, expect, it } from 'vitest';
import { coversPlatform, gemPlatform } from '../../../src/recipes/bundle/platforms.ts';

const linux = { os: 'linux', arch: 'x64', libc: 'glibc' } as const;
const lockfile = (...platforms: string[]): string =>
  `GEM\n  remote: https://rubygems.org/\n  specs:\n\nPLATFORMS\n${platforms.map((name) => `  ${name}\n`).join('')}\nDEPENDENCIES\n`;

describe('gemPlatform', () => {
  it.each([
    [linux, 'x86_64-linux'],
    [{ ...linux, libc: 'musl' } as const, 'x86_64-linux-musl'],
    [{ ...linux, arch: 'arm64' }, 'aarch64-linux'],
    [{ os: 'darwin', arch: 'arm64', libc: undefined }, 'arm64-darwin'],
  ])('%j is %s', (platform, name) => expect(gemPlatform(platform)).toBe(name));
});

describe('coversPlatform', () => {
  it.each([['x86_64-linux'], ['x86_64-linux-gnu'], ['ruby'], ['arm64-darwin-23', 'x86_64-linux']])(
    'takes %s on Linux',
    (...platforms) => expect(coversPlatform(lockfile(...platforms), linux)).toBe(true),
  );

  it.each(['arm64-darwin-23', 'x86_64-linux-musl', 'aarch64-linux', 'java'])(
    'does not take %s alone',
    (name) => expect(coversPlatform(lockfile(name), linux)).toBe(false),
  );

  it('takes any version of macOS', () => {
    const mac = { os: 'darwin', arch: 'arm64', libc: undefined };
    expect(coversPlatform(lockfile('arm64-darwin-21'), mac)).toBe(true);
    expect(coversPlatform(lockfile('x86_64-darwin-21'), mac)).toBe(false);
  });

  it('takes Windows line ends, and lockfiles without the section', () => {
    expect(coversPlatform(lockfile('ruby').replaceAll('\n', '\r\n'), linux)).toBe(true);
    expect(coversPlatform('GEM\n  specs:\n', linux)).toBe(true);
  });
});
