/**
 * What the command line passes on: from the flags to the commands, and from the program to those who add
 * commands to it.
 */
import type { Command } from 'commander';
import type { Outcome } from '../session/outcome.ts';
import type { Session } from '../session/session.ts';
import type { Document } from '../report/documents.ts';
import type { Output } from '../report/output.ts';

export interface GlobalFlags {
  /** Name of the command. */
  command: string;
  project?: string;
  verbose?: boolean;
  quiet?: boolean;
  json?: boolean;
}

export type Action = (session: Session, tell: (outcome: Outcome) => void) => Promise<Document | undefined>;

export type Perform = (flags: GlobalFlags, action: Action) => Promise<void>;

/** Where help and usage errors go. */
export interface Outputs {
  stdout: Pick<Output, 'write'>;
  stderr: Pick<Output, 'write'>;
}

export type Run = (command: Command, action: Action) => Promise<void>;

/** What `createProgram` has for those who add commands. */
export interface Given {
  argv: readonly string[];
  outputs: Outputs;
  /** The program with all of its commands. */
  whole: () => Command;
}
