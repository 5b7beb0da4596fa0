/**
 * What the command line passes on: flags to the commands, and the program's own parts to those that add
 * commands.
 */
import type { Command } from 'commander';
import type { Outcome } from '../session/outcome.ts';
import type { Session } from '../session/session.ts';
import type { Patient } from '../doctor/patient.ts';
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

/** A command that looks at the configuration itself, even at an invalid one. */
export type Examination = (patient: Patient) => Promise<Document>;

export type Examine = (flags: GlobalFlags, examination: Examination) => Promise<void>;

export type Perform = (flags: GlobalFlags, action: Action) => Promise<void>;

/** Where help and usage errors are printed. */
export interface Outputs {
  stdout: Pick<Output, 'write'>;
  stderr: Pick<Output, 'write'>;
}

/** Runs the action of one command under the configuration that its flags give. */
export type RunAction = (command: Command, action: Action) => Promise<void>;

/** What `createProgram` gives to the functions that add commands. */
export interface Given {
  argv: readonly string[];
  outputs: Outputs;
  /** Like `run`, for a command that does not need a valid configuration. */
  examine: (command: Command, examination: Examination) => Promise<void>;
  /** Creates the program with all of its commands. */
  whole: () => Command;
}
