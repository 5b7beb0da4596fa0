import type { Platform } from '../support/runtime.ts';

/**
 * Whether a Gemfile.lock covers this platform: its PLATFORMS section names it, or `ruby` (everything built
 * from source). One that was written on a Mac alone often does not, and Bundler then adds the platform on the
 * first install, or refuses when frozen.
 */
export function coversPlatform(lockfile: string, platform: Platform): boolean {
  const section = /^PLATFORMS\r?\n((?: .*\r?\n?)+)/m.exec(lockfile)?.[1];
  // Very old lockfiles have no such section, and nothing to refuse.
  if (section === undefined) return true;
  const names = section.split(/\r?\n/).map((line) => line.trim());
  const ours = gemPlatform(platform);
  return names.some((name) => name === 'ruby' || isOrExtends(name, ours));
}

/** As RubyGems names it: `x86_64-linux`, `aarch64-linux-musl`, `arm64-darwin`. */
export function gemPlatform({ os, arch, libc }: Platform): string {
  const cpu = arch === 'arm64' ? (os === 'darwin' ? 'arm64' : 'aarch64') : (CPUS[arch] ?? arch);
  return `${cpu}-${os}${libc === 'musl' ? '-musl' : ''}`;
}

const CPUS: Readonly<Record<string, string>> = { x64: 'x86_64', ia32: 'x86', ppc64: 'powerpc64le' };

/** `arm64-darwin-23` and `x86_64-linux-gnu` too; `x86_64-linux-musl` is not `x86_64-linux`. */
function isOrExtends(name: string, ours: string): boolean {
  return name === ours || name === `${ours}-gnu` || (ours.endsWith('-darwin') && name.startsWith(`${ours}-`));
}
