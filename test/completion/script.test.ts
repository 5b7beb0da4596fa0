/** The scripts as the shells themselves run them: what Tab makes of a line. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCli, runScript } from '../support/cli.ts';
import { pathOf } from '../support/programs.ts';
import { expectExit, useFolder } from '../e2e/support.ts';

const folder = useFolder();
const project = (): string => join(folder.path, 'project');
beforeEach(() => {
  mkdirSync(join(project(), 'a folder'), { recursive: true });
  writeFileSync(join(project(), 'a.lock'), '');
  const recipes = { venv: { lockfiles: ['requirements.txt'], paths: ['venv'] } };
  writeFileSync(join(project(), '.sandbox-cache.json'), JSON.stringify({ recipes }));
});

const run = (...args: string[]) => runCli(args, { cwd: project() });

/** Lines of a script in a shell that has sourced ours. */
async function inShell(shell: string, text: string): Promise<string[]> {
  const script = expectExit(await run('completion', shell), 0).stdout;
  writeFileSync(join(folder.path, 'completion'), script);
  const { code, stdout, stderr } = await runScript(text, { cwd: project(), shell });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.split('\n').slice(0, -1);
}

/** The commands that help lists, and the options of one of them. */
async function helpOf(command: string): Promise<{ commands: string[]; options: string[] }> {
  const { stdout } = expectExit(await run(...(command === '' ? [] : [command]), '--help'), 0);
  const commands = [...stdout.matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name!);
  const options = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, name]) => name!);
  return { commands, options };
}

describe('bash', () => {
  /** What bash offers for the last of the words. */
  const complete = (...words: string[]): Promise<string[]> =>
    inShell(
      'bash',
      `source ../completion
       COMP_WORDS=(sandbox-cache ${words.map((word) => `'${word}'`).join(' ')})
       COMP_CWORD=${words.length}
       function=$(complete -p sandbox-cache | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
       $function 2>/dev/null
       if [ \${#COMPREPLY[@]} -gt 0 ]; then printf '%s\\n' "\${COMPREPLY[@]}"; fi`,
    );

  it('offers every command, and every option of each of them', async () => {
    const { commands, options } = await helpOf('');
    expect(commands.length).toBeGreaterThan(9);
    expect((await complete('')).sort()).toEqual(commands.sort());
    expect((await complete('--')).sort()).toEqual(options.sort());
    for (const command of ['restore', 'key', 'prune', 'completion']) {
      expect((await complete(command, '--')).sort()).toEqual((await helpOf(command)).options.sort());
    }
  });

  it.each([
    [['re'], ['restore']],
    [['nothing', ''], []],
    [
      ['restore', ''],
      ['bundle', 'npm', 'venv'],
    ],
    [['restore', 'npm', 'b'], ['bundle']],
    [
      ['-C', 'a folder', 'ensure', ''],
      ['bundle', 'npm', 'venv'],
    ],
    [['--project', '=', 'a folder', 'ensure', 'n'], ['npm']],
    [['restore', '--no'], []],
    [['save', '--no'], ['--no-verify']],
    [['-C', 'a'], ['a folder']],
    [['--project', '=', 'a'], ['a folder']],
    [['--project', '='], ['a folder']],
    [['restore', '--lockfile', 'a.'], ['a.lock']],
    [['restore', 'pip', '--path', ''], ['a folder']],
    [['prune', '--older-than', ''], []],
    [['ensure', 'npm', '--', 'ls', 'a.'], ['a.lock']],
    [['ensure', 'npm', '--', 'dirnam'], ['dirname']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['help', 'in'], ['inspect']],
  ])('%j: %j', async (words, offered) => {
    // A command that lies in two folders of PATH is found twice; bash shows it once.
    expect([...new Set(await complete(...words))]).toEqual(offered);
  });
});

describe.skipIf(pathOf('zsh') === undefined)('zsh (where it is installed)', () => {
  it('completes what can be only one thing', async () => {
    const lines = {
      'sandbox-cache res': 'sandbox-cache restore ',
      'sandbox-cache -C . ensure b': 'sandbox-cache -C . ensure bundle ',
      'sandbox-cache save npm --no-': 'sandbox-cache save npm --no-verify ',
      'sandbox-cache prune --older': 'sandbox-cache prune --older-than=',
      'sandbox-cache restore pip --lockfile a.': 'sandbox-cache restore pip --lockfile a.lock ',
      'sandbox-cache --project=a': 'sandbox-cache --project=a\\ folder/',
      'sandbox-cache ensure npm -- cat a.': 'sandbox-cache ensure npm -- cat a.lock ',
      'sandbox-cache completion fi': 'sandbox-cache completion fish ',
      'sandbox-cache warm npm v': 'sandbox-cache warm npm venv ',
    };
    // A terminal for an interactive zsh, whose Tab completes; ^T shows the line and clears it.
    const shown = await inShell(
      'zsh',
      `zmodload zsh/zpty
       zpty z zsh -f -i
       zpty -w z "PS1= RPS1=; unsetopt zle_bracketed_paste beep; stty cols 500 -echo"
       zpty -w z "autoload -Uz compinit; compinit -u -D; source ../completion; bindkey '^I' complete-word"
       zpty -w z "show() { print; print -r \\"<\\$BUFFER>\\"; BUFFER=; zle accept-line }; zle -N show; bindkey '^T' show"
       for line in ${Object.keys(lines)
         .map((line) => `'${line}'`)
         .join(' ')}; do
         zpty -w -n z "$line"$'\\t'$'\\x14'
         zpty -r z out '*<sandbox*>*'
         print -r -- "\${\${out##*<}%%>*}"
       done`,
    );
    expect(shown).toEqual(Object.values(lines));
  });
});

describe.skipIf(pathOf('fish') === undefined)('fish (where it is installed)', () => {
  const complete = async (line: string): Promise<string[]> => {
    const lines = await inShell('fish', `source ../completion; complete -C '${line}'`);
    return lines.map((text) => text.split('\t')[0]!);
  };

  it('offers every command, and every option of each of them', async () => {
    expect((await complete('sandbox-cache ')).sort()).toEqual((await helpOf('')).commands.sort());
    for (const command of ['restore', 'key', 'prune', 'completion']) {
      const { options } = await helpOf(command);
      const offered = await complete(`sandbox-cache ${command} --`);
      // commander's own.
      expect([...new Set([...offered, '--version'])].sort()).toEqual(
        [...new Set([...options, '--version'])].sort(),
      );
    }
  });

  it.each([
    ['restore ', ['bundle', 'npm', 'venv']],
    ['-C . ensure b', ['bundle']],
    ['restore --lockfile a.', ['a.lock']],
    ['restore pip --path ', ['a folder/']],
    ['ensure npm -- cat a.', ['a.lock']],
    ['completion f', ['fish']],
  ])('%j: %j', async (line, offered) => {
    expect(await complete(`sandbox-cache ${line}`)).toEqual(offered);
  });
});

it("is silent where the project's own recipes do not parse", async () => {
  writeFileSync(join(project(), '.sandbox-cache.json'), '{');
  expect(await run('project-recipes')).toMatchObject({ code: 0, stdout: '', stderr: '' });
  rmSync(join(project(), '.sandbox-cache.json'));
  expect(await run('project-recipes')).toMatchObject({ code: 0, stdout: '', stderr: '' });
});

it('needs no settings that are right; --json and --quiet hold for it too', async () => {
  const { stdout } = await run('completion', 'fish');
  const broken = await runCli(['completion', 'fish'], { cwd: project(), env: { CACHE_TIMEOUT: 'soon' } });
  expect(expectExit(broken, 0)).toMatchObject({ stdout, stderr: '' });
  expect(JSON.parse((await run('completion', 'fish', '--json')).stdout)).toEqual({
    shell: 'fish',
    script: stdout,
  });
  expect((await run('completion', 'fish', '--quiet')).stdout).toBe('');
  const other = expectExit(await run('completion', 'tcsh'), 2);
  expect(other.stderr).toMatch(/^\[cache\] error: <shell> is "tcsh"\. .*bash, zsh, fish.*\[USAGE\]\n$/);
});
