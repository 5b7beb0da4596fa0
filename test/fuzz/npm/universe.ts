/** The packages of a random registry. Ordinary ones depend on each other at random; special ones fail or surprise in one way each. */
import type { Published } from '../../recipes/registry.ts';
import type { RandomSource } from '../../support/tree.ts';

const { platform, arch } = process;
const OTHER_OS = platform === 'linux' ? 'darwin' : 'linux';
const SCRIPT = '#!/usr/bin/env node\n';

const TWINS = { 'sharp-linux-x': '*', 'sharp-linuxmusl-x': '*' };

/** Only as optional dependencies: as required ones most would make npm refuse the whole project. */
export const SPECIAL: readonly Published[] = [
  { manifest: { name: 'native-here', version: '1.0.0', os: [platform], cpu: [arch] } },
  { manifest: { name: 'native-there', version: '1.0.0', os: [OTHER_OS] } },
  { manifest: { name: 'native-not-here', version: '1.0.0', os: [`!${platform}`] } },
  { manifest: { name: 'native-arm', version: '1.0.0', cpu: ['arm64'] } },
  { manifest: { name: 'native-linux-gnu', version: '1.0.0', os: [platform], cpu: [arch], libc: ['glibc'] } },
  { manifest: { name: 'native-linux-musl', version: '1.0.0', os: [platform], cpu: [arch], libc: ['musl'] } },
  { manifest: { name: 'sharp', version: '1.0.0', optionalDependencies: TWINS } },
  { manifest: { name: 'sharp-too', version: '1.0.0', optionalDependencies: TWINS } },
  { manifest: { name: 'newer-node', version: '1.0.0', engines: { node: '>=99' } } },
  { manifest: { name: 'this-node', version: '1.0.0', engines: { node: '^18.0.0 || >=20' } } },
  { manifest: { name: 'odd-node', version: '1.0.0', engines: { node: '18.x || 20 - 99' } } },
  { manifest: { name: 'newer-npm', version: '1.0.0', engines: { npm: '>=99' } } },
  {
    manifest: { name: 'fails', version: '1.0.0', scripts: { install: 'exit 1' }, dependencies: { p10: '*' } },
  },
  {
    manifest: { name: 'needs-there', version: '1.0.0', dependencies: { 'native-there': '1.0.0', p11: '*' } },
  },
  {
    manifest: {
      name: 'platforms',
      version: '1.0.0',
      optionalDependencies: { 'native-here': '*', 'native-there': '*', 'native-linux-musl': '*' },
    },
  },
];

/** Required or optional. */
const ORDINARY_SPECIAL: readonly Published[] = [
  {
    manifest: {
      name: 'late-bin',
      version: '1.0.0',
      bin: { 'late-bin': 'bin/late.js' },
      scripts: { postinstall: 'mkdir -p bin && echo made > bin/late.js' },
    },
  },
  {
    manifest: {
      name: 'scripted',
      version: '1.0.0',
      bin: 'cli.js',
      scripts: { install: 'echo built > built.txt' },
    },
    files: { 'cli.js': SCRIPT },
  },
  {
    manifest: { name: 'no-file-bin', version: '1.0.0', bin: { nothing: 'missing.js', some: './some.js' } },
    files: { 'some.js': SCRIPT },
  },
  {
    manifest: {
      name: 'bundler',
      version: '1.0.0',
      bundleDependencies: ['inner'],
      dependencies: { inner: '*', p11: '*' },
    },
    files: {
      'node_modules/inner/package.json': JSON.stringify({
        name: 'inner',
        version: '3.0.0',
        bin: { inner: 'i.js' },
      }),
      'node_modules/inner/i.js': SCRIPT,
    },
  },
  { manifest: { name: 'inner', version: '3.0.0' } },
  {
    manifest: { name: '@scope/same', version: '1.0.0', bin: { same: 'same.js' } },
    files: { 'same.js': SCRIPT },
  },
];

const BOTH_TWINS: readonly Published[] = [
  { manifest: { name: 'sharp-linux-x', version: '1.0.0', os: [platform], libc: ['glibc'] } },
  { manifest: { name: 'sharp-linuxmusl-x', version: '1.0.0', os: [platform], libc: ['musl'] } },
];

const ORDINARY_COUNT = 12;

export interface Universe {
  packages: readonly Published[];
  /** Names that may be required. */
  names: readonly string[];
}

/** @param more packages that may be required too */
export function makeUniverse(random: RandomSource, more: readonly Published[] = []): Universe {
  const ordinary = Array.from({ length: ORDINARY_COUNT }, (_, n) => versionsOf(random, n)).flat();
  const packages = [...ordinary, ...SPECIAL, ...BOTH_TWINS, ...ORDINARY_SPECIAL, ...more];
  const names = [
    ...new Set([...ordinary, ...ORDINARY_SPECIAL, ...more].map(({ manifest }) => manifest.name)),
  ];
  return { packages, names };
}

/** p0 may depend on p1 and those after it: no circles, but for the last ones. */
function versionsOf(random: RandomSource, n: number): Published[] {
  const name = `p${n}`;
  return ['1.0.0', '2.0.0'].map((version) => {
    const manifest: Record<string, unknown> = {};
    const later = (): string => `p${n + 1 + random.below(ORDINARY_COUNT - n - 1)}`;
    const some = (chance: number, most: number): Record<string, string> =>
      n >= ORDINARY_COUNT - 2 || random.below(100) >= chance
        ? {}
        : Object.fromEntries(
            Array.from({ length: 1 + random.below(most) }, () => [
              later(),
              random.pick(['*', '1.0.0', '^2.0.0', '>=1']),
            ]),
          );
    manifest['dependencies'] = some(70, 3);
    manifest['optionalDependencies'] = some(20, 2);
    if (random.below(5) === 0)
      manifest['optionalDependencies'] = { [random.pick(SPECIAL).manifest.name]: '*' };
    if (random.below(6) === 0) {
      manifest['peerDependencies'] = some(100, 1);
      if (random.below(2) === 0) {
        const optional = Object.keys(manifest['peerDependencies'] as object).map((peer) => [
          peer,
          { optional: true },
        ]);
        manifest['peerDependenciesMeta'] = Object.fromEntries(optional);
      }
    }
    if (n === ORDINARY_COUNT - 1) manifest['dependencies'] = { p10: '*' };
    if (n === ORDINARY_COUNT - 2) manifest['dependencies'] = { p11: '*' };
    const hasBin = random.below(3) === 0;
    if (hasBin) manifest['bin'] = { [name]: 'cli.js', [random.pick(['same', 'other'])]: 'cli.js' };
    return { manifest: { name, version, ...manifest }, ...(hasBin ? { files: { 'cli.js': SCRIPT } } : {}) };
  });
}
