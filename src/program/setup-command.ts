/** The command that sets a bucket up. */
import { type Command, Option } from 'commander';
import type { SetupFlags } from '../commands/setup.ts';
import { CacheError } from '../errors.ts';
import { printableLines } from '../report/printable.ts';
import { examples } from './help-text.ts';
import type { RunAction } from './types.ts';
import { count } from './values.ts';

export function addSetup(program: Command, run: RunAction): void {
  program
    .command('setup')
    .description('Make the bucket, or bring it up to what a cache needs')
    .argument('[bucket]', 'its name (default: CACHE_S3_BUCKET)')
    .option('--expire-days <n>', 'entries expire after n days; 0: never', count, 30)
    .option('--abort-days <n>', 'uploads that were abandoned go after n days', count, 1)
    .addOption(
      new Option('--encryption <kind>', 'default encryption (default: CACHE_S3_SSE, else AES256)').choices([
        'AES256',
        'aws:kms',
        'aws:kms:dsse',
      ]),
    )
    .option('--intelligent-tiering', 'entries go to the storage class INTELLIGENT_TIERING')
    .option('--accelerate', 'turn on Transfer Acceleration, which costs extra')
    .option('--log-bucket <name>', 'access logs go to this bucket')
    .option('--no-public-access-block', 'leave public access as it is')
    .option('--env-file', 'add the bucket to .env.claude-sandbox, and that file to .gitignore')
    .option('--dry-run', 'only print the AWS CLI commands that do the same')
    .option('--yes', 'do it without asking; else asked on a terminal, and refused elsewhere')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache setup my-cache --env-file', ''],
        ['sandbox-cache setup my-cache --dry-run', 'as commands of the AWS CLI'],
      ]),
    )
    .action((bucket: string | undefined, flags: Omit<SetupFlags, 'isNamedHere'>, command: Command) => {
      command.setOptionValue('bucketToSetUp', bucket);
      return run(command, async (session) => {
        const { setup } = await import('../commands/setup.ts');
        const wanted = { ...flags, isNamedHere: bucket !== undefined };
        return setup(session, wanted, async (plan) => flags.yes === true || agree(plan, session.signal));
      });
    });
}

async function agree(plan: string, signal: AbortSignal): Promise<boolean> {
  const { askPerson } = await import('./ask-person.ts');
  const agreed = await askPerson(`${printableLines(plan)}\nDo it?`, signal);
  if (agreed !== undefined) return agreed;
  throw new CacheError('USAGE', `The plan: ${plan.replace(/ +/g, ' ').split('\n').join('; ')}`, {
    hint: 'Add --yes to carry it out, or see the commands with --dry-run.',
  });
}
