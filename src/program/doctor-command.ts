import type { Command } from 'commander';
import { examples } from './help-text.ts';
import type { Run } from './types.ts';

export function addDoctor(program: Command, run: Run): void {
  program
    .command('doctor')
    .description('Find out why the cache does not work, and what mends it')
    .requiredOption('--store', 'examine the bucket: rights, conditions, settings, speed')
    .option('--no-write', 'write nothing: what only a write can tell is left out')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache doctor --store', 'writes 16 MiB at most below <prefix>/.doctor, and removes them'],
        ['sandbox-cache doctor --store --no-write', ''],
      ]),
    )
    .action((flags: { write: boolean }, command: Command) =>
      run(command, async (session) => {
        const { doctorStore } = await import('../commands/doctor-store.ts');
        const { storeDiagnosisDocument } = await import('../report/store-diagnosis.ts');
        return storeDiagnosisDocument(await doctorStore(session, flags));
      }),
    );
}
