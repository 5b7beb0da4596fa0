import type { Platform } from '../support/runtime.ts';

/**
 * Whether a Gemfile.lock covers this platform: its PLATFORMS section names it, or `ruby` (everything built
 * from source). A lockfile that was only ever written on a Mac often does not. Bundler then adds the platform
 * at the first install, or refuses if it is frozen.
 */
export function coversPlatform(lockfile: string, platform: Platform): boolean {
  const section = /^PLATFORMS\r?\n((?: .*\r?\n?)+)/m.exec(lockfile)?.[1];
  // Very old lockfiles have no such section, so Bundler refuses nothing.
  if (section === undefined) return true;
  const names = section.split(/\r?\n/).map((line) => line.trim());
  const ours = gemPlatform(platform);
  return names.some((name) => name === 'ruby' || isOrExtends(name, ours));
}

/** The platform as RubyGems names it: `x86_64-linux`, `aarch64-linux-musl`, `arm64-darwin`. */
export function gemPlatform({ os, arch, libc }: Platform): string {
  const cpu = arch === 'arm64' ? (os === 'darwin' ? 'arm64' : 'aarch64') : (CPUS[arch] ?? arch);
  return `${cpu}-${os}${libc === 'musl' ? '-musl' : ''}`;
}

const CPUS: Readonly<Record<string, string>> = { x64: 'x86_64', ia32: 'x86', ppc64: 'powerpc64le' };

/**
 * `arm64-darwin-23` counts as `arm64-darwin`, and `x86_64-linux-gnu` as `x86_64-linux`; `x86_64-linux-musl`
 * does not.
 */
function isOrExtends(name: string, ours: string): boolean {
  return name === ours || name === `${ours}-gnu` || (ours.endsWith('-darwin') && name.startsWith(`${ours}-`));
}
