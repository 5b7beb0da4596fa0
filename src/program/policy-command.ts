/** The command that prints IAM policies. */
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import type { Kind, PolicyFlags } from '../commands/policy.ts';
import { examples } from './help-text.ts';
import { collect } from './recipe-options.ts';
import type { RunAction } from './types.ts';

export function addPolicy(program: Command, run: RunAction): void {
  program
    .command('policy')
    .description('Print least-privilege IAM policies for the bucket')
    .addArgument(
      new Argument(
        '[kind]',
        'access: for a user or role; bucket: for other accounts; irsa, pod-identity: who may take on a role on EKS',
      )
        .choices(['access', 'bucket', 'irsa', 'pod-identity'])
        .default('access'),
    )
    .option('--role <role>', 'reader, writer or pruner; may come several times (default: writer)', role)
    .option('--bucket <name>', 'another bucket than the configured one')
    .option('--prefix <prefix>', 'another prefix than the configured one; may come several times', collect)
    .option('--kms-key <arn>', 'the key that encrypts the entries (default: CACHE_S3_KMS_KEY_ID)')
    .option('--principal <arn>', 'bucket: who may use it; may come several times', collect)
    .option('--oidc-provider <arn>', "irsa: the cluster's OIDC provider")
    .option('--service-account <namespace/name>', 'irsa, pod-identity: of the pods')
    .option('--name <name>', 'of the policy or role (default: sandbox-cache-<role>)')
    .addOption(
      new Option('--format <format>', 'what to print it for')
        .choices(['json', 'aws', 'terraform', 'cloudformation'])
        .default('json'),
    )
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache policy --role reader', ''],
        ['sandbox-cache policy --role writer --role pruner --format aws | sh', 'made at once'],
        ['sandbox-cache policy bucket --principal arn:aws:iam::444455556666:role/ci', 'for another account'],
      ]),
    )
    .action((kind: Kind, flags: PolicyFlags, command: Command) =>
      run(command, async (session) => {
        const { policy } = await import('../commands/policy.ts');
        return policy(session, kind, flags);
      }),
    );
}

function role(value: string, before: string[] = []): string[] {
  if (['reader', 'writer', 'pruner'].includes(value)) return [...before, value];
  throw new InvalidArgumentError('It takes reader, writer or pruner.');
}
