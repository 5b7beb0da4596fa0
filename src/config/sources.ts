import { ENV_FILE, type EnvFile } from './env-file.ts';
import type { Variables } from './values.ts';

/** Where settings come from. The real environment wins, even over an alias in the file. */
export interface Sources {
  readonly real: Variables;
  readonly file: EnvFile;
}

export interface Setting {
  readonly name: string;
  readonly value: string;
  readonly from: 'environment' | 'file';
}

/** The first of these names in the environment, else the first of them in the file. */
export function firstSet({ real, file }: Sources, ...names: readonly string[]): Setting | undefined {
  for (const [from, values] of [['environment', real] as const, ['file', file.values] as const]) {
    for (const name of names) {
      const value = values[name];
      if (value !== undefined) return { name, value, from };
    }
  }
  return undefined;
}

/** `.env.claude-sandbox line 3` */
export function placeInFile({ file }: Sources, name: string): string {
  return `${ENV_FILE} line ${file.lines[name]}`;
}
