import { describe, expect, it, vi } from 'vitest';
import { createProgram } from '../../src/program/program.ts';

vi.stubGlobal('SANDBOX_CACHE_VERSION', '0.0.0');
const silent = { stdout: { write: () => {} }, stderr: { write: () => {} } };

describe.each([40, 80, 120])('--help on a terminal of %i columns', (helpWidth) => {
  const program = createProgram(['help'], silent, {
    perform: async () => {},
    examine: async () => {},
  });
  const helpOf = (command: typeof program): string =>
    command.configureHelp({ ...command.configureHelp(), helpWidth }).helpInformation();

  it.each(['', ...program.commands.map((command) => command.name())])('%s stays within them', (name) => {
    const command = program.commands.find((one) => one.name() === name) ?? program;
    const lines = helpOf(command).split('\n').slice(1);
    expect(lines.filter((line) => line.length > helpWidth)).toEqual([]);
  });

  it('describes every command, without a line for every word', () => {
    const text = helpOf(program);
    for (const command of program.commands)
      expect(text.replace(/\s+/g, ' ')).toContain(command.description());
    expect(text.split('\n').length).toBeLessThan(helpWidth === 40 ? 96 : 64);
  });
});
