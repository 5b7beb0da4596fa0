/** `ensure` from the look at what is there to the save: one run at a time, and nothing half-installed is taken for whole. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  debris,
  DEPS,
  expectExit,
  makeNpmProject,
  makeProject,
  tool,
  useSandbox,
  wipe,
  writeFiles,
} from './support.ts';

const sandbox = useSandbox();

const path = (name: string): string => join(sandbox.project, name);

/** `ensure` with a line of shell as its installer. */
const ensure = (line: string): string[] => ['ensure', ...DEPS, '--', 'sh', '-c', line];

/** A lockfile without anything installed. */
function makeBare(): void {
  makeProject(sandbox.project);
  wipe(sandbox.project, 'deps');
}

describe('two at once', () => {
  it.each([['ensure'], ['restore'], ['save']])(
    '%s waits until the other has installed and saved',
    async (command) => {
      makeBare();
      const install =
        'echo x >>runs; mkdir -p deps; echo begun; until test -e go; do sleep 0.05; done; echo all >deps/all';
      const first = await sandbox.start(ensure(install));
      await first.printed('begun');
      const args = command === 'ensure' ? ensure(install) : [command, ...DEPS];
      const second = await sandbox.start(args);
      await second.printed('Waiting for another run at work on deps: process');
      writeFileSync(path('go'), '');
      expect(expectExit(await first.done, 0).stdout).toMatch(/installed and saved/);
      expect(expectExit(await second.done, 0).stdout).toMatch(/already (in place|cached)/);
      expect(readFileSync(path('runs'), 'utf8')).toBe('x\n');
      expect(readFileSync(path('deps/all'), 'utf8')).toBe('all\n');
      expect(debris(sandbox.project)).toEqual([]);
    },
  );

  it('warm waits, and finds the entry', async () => {
    makeBare();
    const recipe = {
      lockfiles: ['deps.lock'],
      paths: ['deps'],
      install:
        'echo x >>runs; mkdir -p deps; echo begun; until test -e go; do sleep 0.05; done; touch deps/all',
    };
    writeFiles(sandbox.project, { '.sandbox-cache.json': JSON.stringify({ recipes: { deps: recipe } }) });
    const first = await sandbox.start(['warm', 'deps']);
    await first.printed('begun');
    const second = await sandbox.start(['warm', 'deps']);
    await second.printed('Waiting for another run');
    writeFileSync(path('go'), '');
    expectExit(await first.done, 0);
    expect(expectExit(await second.done, 0).stdout).toMatch(/already cached/);
    expect(readFileSync(path('runs'), 'utf8')).toBe('x\n');
  });
});

it('warm saves nothing that a failed installer leaves, and fails', async () => {
  makeBare();
  const recipe = {
    lockfiles: ['deps.lock'],
    paths: ['deps'],
    install: 'mkdir -p deps; touch deps/half; exit 17',
  };
  writeFiles(sandbox.project, { '.sandbox-cache.json': JSON.stringify({ recipes: { deps: recipe } }) });
  expectExit(await sandbox.run(['warm', 'deps']), 3);
  expect(existsSync(path('deps/half'))).toBe(true);
  expect(sandbox.keys).toEqual([]);
});

describe('an installer that calls sandbox-cache for the same project', () => {
  it('does not wait for the run that started it, and leaves the save to that', async () => {
    makeBare();
    const args = DEPS.join(' ');
    const install = [
      `sandbox-cache restore ${args} || mkdir -p deps`,
      `sandbox-cache ensure ${args} -- sh -c "echo inner >deps/inner"`,
      'echo outer >deps/outer',
      `sandbox-cache save ${args}`,
      'echo last >deps/last',
    ].join(' && ');
    writeFiles(sandbox.project, { 'install.sh': install });
    const result = expectExit(await sandbox.script(`sandbox-cache ensure ${args} -- sh install.sh`), 0);
    expect(result.stdout).toMatch(/^deps not saved yet: the run that this install is part of saves them$/m);
    expect(result.stdout).toMatch(/^deps ready: installed and saved/m);
    expect(result.stderr).not.toContain('Waiting');
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS]), 0);
    for (const name of ['inner', 'outer', 'last']) expect(existsSync(path(`deps/${name}`)), name).toBe(true);
    expect(debris(sandbox.project)).toEqual([]);
  });
});

describe('an install that did not end well', () => {
  async function killInstall(): Promise<void> {
    const install = 'mkdir -p deps; echo half >deps/half; echo $$ >pid; echo begun; exec sleep 600';
    const running = await sandbox.start(ensure(install));
    await running.printed('begun');
    running.child.kill('SIGKILL');
    process.kill(Number(readFileSync(path('pid'), 'utf8')), 'SIGKILL');
    await running.done;
  }

  it('is not saved after a kill -9; the next ensure installs from nothing', async () => {
    makeBare();
    await killInstall();
    const saved = expectExit(await sandbox.run(['save', ...DEPS]), 4);
    expect(saved.stderr).toMatch(/last install did not end well\. Run sandbox-cache ensure deps/);
    expect(sandbox.keys).toEqual([]);
    expectExit(await sandbox.run(['restore', ...DEPS]), 1);
    const again = expectExit(await sandbox.run(ensure('test ! -e deps/half && echo all >deps/all')), 0);
    expect(again.stdout).toMatch(/installed and saved/);
    expect(debris(sandbox.project)).toEqual([]);
  });

  it('is replaced by an entry that another machine has saved meanwhile', async () => {
    makeBare();
    await killInstall();
    const other = join(sandbox.folder, 'other');
    makeProject(other);
    expectExit(await sandbox.run(['save', ...DEPS], { cwd: other }), 0);
    expect(expectExit(await sandbox.run(ensure('exit 9')), 0).stdout).toMatch(/^deps restored/);
    expect(existsSync(path('deps/half'))).toBe(false);
    expect(debris(sandbox.project)).toEqual([]);
    expect(expectExit(await sandbox.run(['save', ...DEPS]), 0).stdout).toMatch(/already cached/);
  });

  it('is an npm tree, too, that passes its verification', async () => {
    makeNpmProject(sandbox.project);
    await sandbox.script('mv node_modules ../good');
    const install = 'cp -a ../good node_modules; exit 7';
    const env = { CACHE_S3_BUCKET: undefined };
    expectExit(await sandbox.run(['ensure', 'npm', '--', 'sh', '-c', install], { env }), 7);
    expect(existsSync(path('node_modules/one/index.js'))).toBe(true);
    // By its verification alone it would be whole.
    expectExit(await sandbox.run(['ensure', 'npm', '--', 'sh', '-c', 'exit 8'], { env }), 8);
  });

  it('is saved all the same where the user says so', async () => {
    makeBare();
    expectExit(await sandbox.run(ensure('mkdir deps; exit 3')), 3);
    writeFileSync(path('deps/by-hand'), '');
    expectExit(await sandbox.run(['save', ...DEPS, '--no-verify']), 0);
    expect(expectExit(await sandbox.run(['save', ...DEPS, '--force']), 0).stdout).toMatch(/saved to/);
  });
});

describe('a restored tree that is not whole any more', () => {
  it('npm: restore looks, and restores it again', async () => {
    makeNpmProject(sandbox.project);
    expectExit(await sandbox.run(['save', 'npm']), 0);
    expect(expectExit(await sandbox.run(['restore', 'npm']), 0).stdout).toMatch(/already in place/);
    wipe(sandbox.project, 'node_modules/one');
    const result = expectExit(await sandbox.run(['restore', 'npm']), 0);
    expect(result.stderr).toMatch(
      /^\[cache\] warning: What was restored is not whole any more: node_modules\/one is/,
    );
    expect(result.stdout).toMatch(/^Node packages restored/);
    expect(existsSync(path('node_modules/one/index.js'))).toBe(true);
  });

  it('any other recipe: what is missing is noticed, a hidden cache is not', async () => {
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    mkdirSync(path('deps/.cache'));
    expect(expectExit(await sandbox.run(['restore', ...DEPS]), 0).stdout).toMatch(/already in place/);
    wipe(sandbox.project, 'deps/tool');
    expect(expectExit(await sandbox.run(ensure('exit 9')), 0).stdout).toMatch(/^deps restored/);
    expect(existsSync(path('deps/tool/run.sh'))).toBe(true);
  });

  it('ensure restores it again where only its own check can tell', async () => {
    makeProject(sandbox.project);
    const recipe = { lockfiles: ['deps.lock'], paths: ['deps'], verify: 'test -s deps/tool/data.txt' };
    writeFiles(sandbox.project, { '.sandbox-cache.json': JSON.stringify({ recipes: { deps: recipe } }) });
    expectExit(await sandbox.run(['save', 'deps']), 0);
    wipe(sandbox.project, 'deps/tool/data.txt');
    writeFileSync(path('deps/tool/data.txt'), '');
    const result = expectExit(await sandbox.run(['ensure', 'deps', '--', 'false']), 0);
    expect(result.stdout).toMatch(/^deps restored/);
    expect(readFileSync(path('deps/tool/data.txt'), 'utf8')).toContain('data');
  });
});

describe('a restored tree that is not usable', () => {
  it('is removed before the install', async () => {
    makeProject(sandbox.project);
    const recipe = { lockfiles: ['deps.lock'], paths: ['deps'], verify: 'test -e deps/usable' };
    writeFiles(sandbox.project, { '.sandbox-cache.json': JSON.stringify({ recipes: { deps: recipe } }) });
    expectExit(await sandbox.run(['save', 'deps', '--no-verify']), 0);
    wipe(sandbox.project, 'deps');
    const install = 'test ! -e deps/tool && touch deps/usable';
    expectExit(await sandbox.run(['ensure', 'deps', '--', 'sh', '-c', install]), 0);
  });
});

describe('several recipes', () => {
  function makeTwo(): void {
    const recipe = (name: string): unknown => ({
      lockfiles: ['deps.lock'],
      paths: [name],
      install: `mkdir -p ${name} && echo ${name} >>installed && touch ${name}/all`,
    });
    const recipes = { one: recipe('one'), two: recipe('two') };
    writeFiles(sandbox.project, { 'deps.lock': 'x', '.sandbox-cache.json': JSON.stringify({ recipes }) });
  }

  it('ensure without a name does each that is found, and installs only what is missing', async () => {
    makeTwo();
    expectExit(await sandbox.run(['ensure', 'one']), 0);
    wipe(sandbox.project, 'one', 'installed');
    const result = expectExit(await sandbox.run(['ensure']), 0);
    expect(result.stdout).toMatch(/^one restored .*\ntwo ready: installed and saved/);
    expect(readFileSync(path('installed'), 'utf8')).toBe('two\n');
  });

  it('restore says which were missed, and what to do', async () => {
    makeTwo();
    expectExit(await sandbox.run(['ensure', 'one']), 0);
    const result = expectExit(await sandbox.run(['restore']), 1);
    expect(result.stdout).toMatch(/^Missed: two\. In place: one\. "sandbox-cache ensure" installs only/m);
    expect(expectExit(await sandbox.run(['restore', 'one']), 0).stdout).not.toContain('Missed');
  });

  it('save: nothing to save is 1 for a recipe that was named, 0 for one that was found', async () => {
    makeTwo();
    expect(expectExit(await sandbox.run(['save']), 0).stdout).toMatch(
      /^one not saved: nothing is installed/m,
    );
    expectExit(await sandbox.run(['save', 'one']), 1);
  });

  it('a project without dependencies has nothing to save, which is no failure', async () => {
    const lock = { name: 'app', version: '1.0.0', lockfileVersion: 3, packages: { '': { name: 'app' } } };
    writeFiles(sandbox.project, {
      'package.json': '{"name":"app"}',
      'package-lock.json': JSON.stringify(lock),
    });
    const saved = expectExit(await sandbox.run(['save', 'npm']), 0);
    expect(saved.stdout).toBe('Node packages not saved: the lockfile asks for none\n');
    expectExit(await sandbox.run(['ensure', 'npm', '--', 'false']), 0);
  });
});

describe('where the tree comes from', () => {
  async function keygen(name: string): Promise<{ sign: string; verify: string }> {
    const file = join(sandbox.folder, name);
    expectExit(await sandbox.run(['keygen', file]), 0);
    return { sign: `${file}.key`, verify: `${file}.pub` };
  }

  it('a receipt counts with CACHE_VERIFY_KEY only if that key has signed the entry', async () => {
    const [ours, others] = [await keygen('ours'), await keygen('others')];
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS], { env: { CACHE_SIGNING_KEY: ours.sign } }), 0);
    const restore = async (CACHE_VERIFY_KEY: string): Promise<string> =>
      (await sandbox.run(['restore', ...DEPS], { env: { CACHE_VERIFY_KEY } })).stdout;
    expect(await restore(ours.verify)).toMatch(/already in place/);
    expect(await restore(others.verify)).toBe('');
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS]), 0);
    // Restored without a question: the key has to be asked for first.
    expect(await restore(ours.verify)).toMatch(/^deps restored/);
    expect(await restore(ours.verify)).toMatch(/already in place/);
  });

  it('what was restored unsigned before the key is neither used nor signed, but installed anew', async () => {
    const { sign, verify } = await keygen('ours');
    makeNpmProject(sandbox.project);
    await sandbox.script('cp -a node_modules ../good');
    writeFileSync(path('node_modules/one/index.js'), 'poison');
    expectExit(await sandbox.run(['save', 'npm']), 0);
    wipe(sandbox.project, 'node_modules');
    expectExit(await sandbox.run(['restore', 'npm']), 0);
    const env = { CACHE_VERIFY_KEY: verify, CACHE_SIGNING_KEY: sign };
    const refused = expectExit(await sandbox.run(['restore', 'npm'], { env }), 3);
    expect(refused.stderr).toContain('[ARCHIVE_UNTRUSTED]');
    const saved = expectExit(await sandbox.run(['save', 'npm', '--force'], { env }), 4);
    expect(saved.stderr).toContain('restored from an entry that CACHE_VERIFY_KEY does not accept');
    const install = 'test ! -e node_modules/one && cp -a ../good/. node_modules/';
    const result = expectExit(await sandbox.run(['ensure', 'npm', '--', 'sh', '-c', install], { env }), 0);
    expect(result.stdout).toMatch(/installed and saved/);
    expect(readFileSync(path('node_modules/one/index.js'), 'utf8')).not.toBe('poison');
  });

  it('a receipt made by hand counts for nothing', async () => {
    makeProject(sandbox.project);
    const key = expectExit(await sandbox.run(['key', ...DEPS]), 0).stdout.trim();
    const receipt = {
      key,
      targets: ['deps'],
      witness: '',
      origin: 'installed',
      installSeconds: 0,
      bytes: 0,
      files: 0,
    };
    writeFileSync(path('deps/.sandbox-cache-receipt.json'), JSON.stringify(receipt));
    expectExit(await sandbox.run(['restore', ...DEPS]), 1);
    expectExit(await sandbox.run(ensure('exit 5')), 5);
  });
});

it.each(['hoisted', 'linked'])(
  'installs over an older entry that was restored as a base, though it has all that is asked for (%s)',
  async (strategy) => {
    writeFiles(sandbox.project, { '.npmrc': `install-strategy=${strategy}\n` });
    const depend = async (...names: string[]): Promise<void> => {
      for (const name of names)
        writeFiles(sandbox.project, { [`${name}/package.json`]: `{"name":"${name}","version":"1.0.0"}` });
      const dependencies = Object.fromEntries(names.map((name) => [name, `file:${name}`]));
      writeFiles(sandbox.project, { 'package.json': JSON.stringify({ name: 'app', dependencies }) });
      const lock = ['install', '--package-lock-only', '--offline', '--no-audit', '--no-fund'];
      await tool('npm', ['--prefix', sandbox.project, ...lock]);
    };
    await depend('one', 'two');
    expectExit(await sandbox.run(['ensure', 'npm']), 0);
    wipe(sandbox.project, 'node_modules');
    await depend('one');
    expectExit(await sandbox.run(['restore', 'npm', '--fallback']), 1);
    expect(existsSync(join(sandbox.project, 'node_modules/two'))).toBe(true);
    const result = expectExit(await sandbox.run(['ensure', 'npm']), 0);
    // The same entry may be the base of an install, once it is rid of what the lockfile does not name.
    expect(result.stdout).toMatch(
      /^Node packages ready: (installed and|\d of \d packages taken from .*;) saved/m,
    );
    expect(existsSync(join(sandbox.project, 'node_modules/two'))).toBe(false);
  },
);
