/** Ways in which an installed tree comes to harm, or is changed without harm. Each is one function of a tree. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { RandomSource } from '../../support/tree.ts';

/** @returns what was done, e.g. `removed node_modules/ms`; undefined where the tree has nothing of the kind */
type Damage = (dir: string, random: RandomSource) => string | undefined;

export const DAMAGES: Readonly<Record<string, Damage>> = {
  removePackage: (dir, random) =>
    atPackage(dir, random, (path) => rmSync(join(dir, path), { recursive: true })),
  emptyPackage: (dir, random) =>
    atPackage(dir, random, (path) => {
      rmSync(join(dir, path), { recursive: true });
      mkdirSync(join(dir, path));
    }),
  removeManifest: (dir, random) => atPackage(dir, random, (path) => rmSync(join(dir, path, 'package.json'))),
  otherVersion: (dir, random) =>
    atPackage(dir, random, (path) => {
      const manifest = JSON.parse(readFileSync(join(dir, path, 'package.json'), 'utf8')) as object;
      rmSync(join(dir, path, 'package.json'));
      writeFileSync(join(dir, path, 'package.json'), JSON.stringify({ ...manifest, version: '7.7.7' }));
    }),
  fileInItsPlace: (dir, random) =>
    atPackage(dir, random, (path) => {
      rmSync(join(dir, path), { recursive: true });
      writeFileSync(join(dir, path), 'no package');
    }),
  linkInItsPlace: (dir, random) =>
    atPackage(dir, random, (path) => {
      mkdirSync(join(dir, '.elsewhere'), { recursive: true });
      renameSync(join(dir, path), join(dir, '.elsewhere/package'));
      symlinkSync(join(dir, '.elsewhere/package'), join(dir, path));
    }),
  removeLink: (dir, random) => atLink(dir, random, (path) => rmSync(join(dir, path))),
  danglingLink: (dir, random) =>
    atLink(dir, random, (path) => {
      rmSync(join(dir, path));
      symlinkSync('nowhere', join(dir, path));
    }),
  removeCommand: (dir, random) => atCommand(dir, random, (path) => rmSync(join(dir, path))),
  danglingCommand: (dir, random) =>
    atCommand(dir, random, (path) => {
      rmSync(join(dir, path));
      symlinkSync('../nowhere', join(dir, path));
    }),
  removeModules: (dir, random) => {
    const folders = modulesFolders(dir).sort();
    if (folders.length === 0) return undefined;
    const folder = random.pick(folders);
    rmSync(join(dir, folder), { recursive: true });
    return folder;
  },
  removeRecord(dir) {
    const record = join(dir, 'node_modules/.package-lock.json');
    if (!existsSync(record)) return undefined;
    rmSync(record);
    return "npm's record";
  },
  outdateRecord(dir) {
    const record = join(dir, 'node_modules/.package-lock.json');
    if (!existsSync(record)) return undefined;
    utimesSync(record, new Date(0), new Date(0));
    return "npm's record";
  },
  addPackage(dir) {
    if (!existsSync(join(dir, 'node_modules'))) return undefined;
    mkdirSync(join(dir, 'node_modules/stranger'));
    writeFileSync(join(dir, 'node_modules/stranger/package.json'), '{"name":"stranger","version":"1.0.0"}');
    return 'node_modules/stranger';
  },
  removeWorkspace(dir, random) {
    const folder = join(dir, 'packages');
    const names = existsSync(folder) ? readdirSync(folder) : [];
    if (names.length === 0) return undefined;
    const name = random.pick(names);
    for (const file of readdirSync(join(folder, name))) {
      if (file !== 'node_modules') rmSync(join(folder, name, file), { recursive: true });
    }
    return `packages/${name}`;
  },
  otherLockfile(dir, random) {
    const file = join(dir, 'package-lock.json');
    const lockfile = JSON.parse(readFileSync(file, 'utf8')) as {
      packages?: Record<string, { version?: string; resolved?: string }>;
    };
    const places = Object.entries(lockfile.packages ?? {}).filter(
      ([location, { resolved }]) => location.includes('node_modules/p') && resolved !== undefined,
    );
    if (places.length === 0) return undefined;
    const [location, entry] = random.pick(places);
    Object.assign(entry, { integrity: `sha512-${'A'.repeat(86)}==` });
    writeFileSync(file, JSON.stringify(lockfile));
    return location;
  },
};

function atPackage(dir: string, random: RandomSource, damage: (path: string) => void): string | undefined {
  return at(
    dir,
    random,
    damage,
    (path) =>
      !path.includes('/.bin/') && existsSync(join(dir, path, 'package.json')) && !isLink(join(dir, path)),
  );
}

function atLink(dir: string, random: RandomSource, damage: (path: string) => void): string | undefined {
  return at(dir, random, damage, (path) => !path.includes('/.bin/') && isLink(join(dir, path)));
}

function atCommand(dir: string, random: RandomSource, damage: (path: string) => void): string | undefined {
  return at(dir, random, damage, (path) => path.includes('/.bin/'));
}

/** Damages one of the places of a kind. What is around it is then newer than npm's record, whatever the clock's grain. */
function at(
  dir: string,
  random: RandomSource,
  damage: (path: string) => void,
  fits: (path: string) => boolean,
): string | undefined {
  const places = modulesFolders(dir)
    .flatMap((folder) => entriesOf(dir, folder))
    .filter(fits)
    .sort();
  if (places.length === 0) return undefined;
  const place = random.pick(places);
  damage(place);
  const later = new Date(Date.now() + 60_000);
  for (const touched of [place, dirname(place)]) {
    if (existsSync(join(dir, touched)) && !isLink(join(dir, touched)))
      utimesSync(join(dir, touched), later, later);
  }
  return place;
}

/** Every node_modules of a project, those of packages included. */
function modulesFolders(dir: string, folder = ''): string[] {
  return readdirSync(join(dir, folder), { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory()) return [];
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    const inner = modulesFolders(dir, path);
    return entry.name === 'node_modules' ? [path, ...inner] : inner;
  });
}

/** `a`, `@scope/b`, `.bin/c` of a node_modules. */
function entriesOf(dir: string, folder: string): string[] {
  return readdirSync(join(dir, folder)).flatMap((name) => {
    const path = `${folder}/${name}`;
    if (name.startsWith('@') || name === '.bin')
      return readdirSync(join(dir, path)).map((inner) => `${path}/${inner}`);
    return name.startsWith('.') ? [] : [path];
  });
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}
