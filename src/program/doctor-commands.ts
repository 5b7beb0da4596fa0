/** Commands about the set-up itself. */
import type { Command } from 'commander';
import { CacheError } from '../errors.ts';
import { examples, exitCodes } from './help-text.ts';
import type { Given, RunAction } from './types.ts';

export function addDoctor(program: Command, run: RunAction, { examine }: Given): void {
  program
    .command('doctor')
    .description('Find out why the cache does not work, and what mends it')
    .option('--store', 'examine the bucket: rights, conditions, settings, speed')
    .option('--no-write', 'with --store: write nothing; what only a write can tell is left out')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache doctor', ''],
        ['sandbox-cache doctor --json', 'for scripts'],
        ['sandbox-cache doctor --store', 'writes 16 MiB at most below <prefix>/.doctor, and removes them'],
        ['sandbox-cache doctor --store --no-write', ''],
      ]) +
        exitCodes([
          ['0', 'nothing that would make caching fail'],
          ['3', 'caching would fail'],
        ]),
    )
    .action((flags: { store?: boolean; write: boolean }, command: Command) => {
      if (flags.store === true) {
        return run(command, async (session) => {
          const { doctorStore } = await import('../commands/doctor-store.ts');
          const { storeDiagnosisDocument } = await import('../report/store-diagnosis.ts');
          return storeDiagnosisDocument(await doctorStore(session, flags), session.config.env);
        });
      }
      return examine(command, async (patient) => {
        if (!flags.write)
          throw new CacheError('USAGE', '--no-write goes with --store: without it nothing is written', {
            hint: 'For example: sandbox-cache doctor --store --no-write',
          });
        const [{ doctor }, { doctorDocument }] = await Promise.all([
          import('../commands/doctor.ts'),
          import('../report/findings.ts'),
        ]);
        return doctorDocument(await doctor(patient), patient.survey.sources.real);
      });
    });
}

export function addConfig(program: Command, _run: RunAction, { examine }: Given): void {
  program
    .command('config')
    .description('Print every setting and where it comes from')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache config', ''],
        ['sandbox-cache config --json', 'for scripts'],
      ]),
    )
    .action((_flags: unknown, command: Command) =>
      examine(command, async ({ survey }) => {
        const [{ listSettings }, { settingsDocument }] = await Promise.all([
          import('../commands/config.ts'),
          import('../report/settings.ts'),
        ]);
        return settingsDocument(survey, await listSettings(survey));
      }),
    );
}
