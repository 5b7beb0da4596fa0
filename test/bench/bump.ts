/**
 * One package of L changes (rxjs 7.8.2 → 7.8.1), and there is no entry for the new lockfile: all of `ensure`, which builds on the
 * entry of the old one, against what a job did without it. npm's cache holds every package for both.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import { awsEnvironment, cliCommand } from './end-to-end.ts';
import { programOf } from './machine.ts';
import { measure, shell, type Command } from './measure.ts';
import { runRounds, type Contender, type Series } from './rounds.ts';
import type { S3Place } from './s3-place.ts';

const AFTER =
  'sha512-AA3TVj+0A2iuIoQkWEK/tqFjBq2j+6PO6Y0zJcvzLAFhEFIO3HL0vls9hWLncZbAAbK0mar7oZ4V079I/qPMxg==';

export async function bumpRounds(bench: Bench, corpus: Corpus, s3: S3Place): Promise<Series[]> {
  const place = join(bench.scratch, 'bump');
  const project = join(place, 'project');
  const environment = {
    ...awsEnvironment(s3),
    npm_config_cache: join(place, 'npm-cache'),
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  };
  const prefix = `${corpus.name}/bump`;
  const url = `s3://${s3.bucket}/${prefix}`;
  const aws = `'${programOf('aws')}' --endpoint-url '${s3.endpoint}' s3`;
  const run = (command: Command): Promise<unknown> =>
    measure({ ...command, env: { ...command.env, ...environment } });
  const ensure = cliCommand(['-C', project, 'ensure', 'npm'], {
    ...environment,
    CACHE_S3_BUCKET: s3.bucket,
    CACHE_S3_PREFIX: prefix,
    CACHE_WORKERS: String(Math.max(...bench.options.workers)),
  });
  const begin = async (isBumped: boolean): Promise<void> => {
    await rm(project, { recursive: true, force: true });
    mkdirSync(project, { recursive: true });
    // Its packages' peers disagree with each other.
    writeFileSync(join(project, '.npmrc'), 'legacy-peer-deps=true\n');
    for (const file of corpus.lockfiles) {
      const text = readFileSync(join(corpus.dir, file), 'utf8');
      writeFileSync(join(project, file), isBumped ? bumped(text) : text);
    }
  };
  // Fills npm's cache, and makes the entry that ours builds on.
  await begin(true);
  await run(shell('npm ci', project));
  await begin(false);
  await run(ensure);
  const base = await s3.keysUnder(prefix);
  const baseBytes = await s3.sizeUnder(prefix);

  const after = async (): Promise<{ storedBytes: number }> => {
    const storedBytes = (await s3.sizeUnder(prefix)) - baseBytes;
    await s3.remove((await s3.keysUnder(prefix)).filter((key) => !base.includes(key)));
    return { storedBytes };
  };
  const contender = (id: string, label: string, command: Command): Contender => ({
    id: `${corpus.name}/bump/${id}`,
    label,
    ours: id === 'ours',
    before: () => begin(true),
    command: () => command,
    after,
  });
  const file = join(place, 'old-way.tar.gz');
  const rival = shell(
    `npm ci; tar -czf '${file}' node_modules; ${aws} cp --quiet '${file}' '${url}/old-way.tar.gz'; rm '${file}'`,
    project,
  );
  try {
    return await runRounds(
      [
        contender('ours', '`sandbox-cache ensure npm`, on the entry before', ensure),
        contender('old-way', '`npm ci`, `tar -czf`, `aws s3 cp`', { ...rival, env: environment }),
      ],
      bench.options.runs,
      bench.log,
    );
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** package.json or the lockfile with the other version. */
function bumped(text: string): string {
  return text
    .replace('"rxjs": "7.8.2"', '"rxjs": "7.8.1"')
    .replace(
      /("node_modules\/rxjs": \{\s*"version": ")7\.8\.2(",\s*(?:"resolved": "[^"]*",\s*)?"integrity": ")[^"]*/,
      (_, head: string, middle: string) =>
        `${head}7.8.1${middle.replace('rxjs-7.8.2', 'rxjs-7.8.1')}${AFTER}`,
    );
}
