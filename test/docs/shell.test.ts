/** What the pages tell people to type: bash can read it, and our commands and options in it exist. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it, vi } from 'vitest';
import { commandLineOf, type CommandLine } from '../../src/completion/words.ts';
import { createProgram } from '../../src/program/program.ts';
import { blocksOf, nameOf, PAGES } from './pages.ts';

vi.stubGlobal('SANDBOX_CACHE_VERSION', '0.0.0');

const blocks = PAGES.flatMap((page) => blocksOf(page, 'bash', 'sh', 'console'));

/** Of a session on a terminal, the lines that were typed. */
const typed = (text: string): string =>
  text
    .split('\n')
    .filter((line) => line.startsWith('$ '))
    .map((line) => line.slice(2))
    .join('\n');

/** Where a command may begin, assignments before it included. */
const OURS =
  /(?:^|\b(?:if|then|else|do|eval)|[;|&(])\s*(?:"?\$\()?(?:[A-Z_]+=\S*\s+)*sandbox-cache (.*?)(?=[;|&)"]|$)/g;

/** Our command lines in a script, up to what ends a command, without comments. */
function ourCommands(text: string): string[][] {
  return text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, ''))
    .flatMap((line) => [...line.matchAll(OURS)])
    .map(([, words]) => words!.trim().split(/\s+/).filter(Boolean));
}

/** What is wrong with the words behind `sandbox-cache`. */
function mistakes(words: readonly string[], { options, commands }: CommandLine): string[] {
  const own = words.slice(0, words.includes('--') ? words.indexOf('--') : undefined);
  const known = commands.find(({ name }) => own.includes(name));
  const flags = own.filter((word) => word.startsWith('-')).map((word) => word.split('=')[0]!);
  const valid = new Set([...options, ...(known?.options ?? [])].flatMap(({ names }) => names));
  const unknown = flags.filter((flag) => !valid.has(flag));
  return [
    ...(known || own.every((word) => word.startsWith('-')) ? [] : [`no command in "${own.join(' ')}"`]),
    ...unknown,
  ];
}

describe.each(blocks.map((block) => [nameOf(block), block] as const))('%s', (_name, { language, text }) => {
  const script = language === 'console' ? typed(text) : text;

  it('is bash', () => {
    const { status, stderr } = spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('names commands and options that exist', () => {
    expect(ourCommands(script).flatMap((words) => mistakes(words, commandLine()))).toEqual([]);
  });
});

it('would notice a command or an option that does not exist', () => {
  const script =
    'if sandbox-cache restore --fall bundle; then x; fi\nsandbox-cache warn || true  # sandbox-cache x';
  expect(ourCommands(script).flatMap((words) => mistakes(words, commandLine()))).toEqual([
    '--fall',
    'no command in "warn"',
  ]);
});

function commandLine(): CommandLine {
  const nowhere = { write: () => true } as unknown as NodeJS.WritableStream;
  const program = createProgram(['help'], { stdout: nowhere, stderr: nowhere } as never, {
    perform: async () => {},
    examine: async () => {},
  });
  return commandLineOf(program, []);
}
