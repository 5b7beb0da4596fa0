/** The script that a shell sources to complete our command line. Loaded only when somebody asks for it. */
import type { Command } from 'commander';
import { bashScript } from './bash.ts';
import { fishScript } from './fish.ts';
import { commandLineOf } from './words.ts';
import { zshScript } from './zsh.ts';

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** @param program with all commands @param recipes names to offer */
export function completionScript(
  shell: keyof typeof SCRIPTS,
  program: Command,
  recipes: readonly string[],
): string {
  return SCRIPTS[shell](commandLineOf(program, recipes));
}
