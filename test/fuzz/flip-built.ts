/**
 * What flip.ts does, through the built command and an S3 server: `save` stores an entry, the server gets damaged ones in its
 * place, and `restore` has to end with 3, say why, and leave the tree that is there as it is.
 *
 *     npx tsx test/fuzz/flip-built.ts --cases 300 [--seed 1] [--server ceph]
 *
 * The server runs in this process, or is a Ceph RGW started for it. Ends with 1 at the first damage that does harm.
 */
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { damage, DAMAGES, partsOf } from '../archive/damage.ts';
import { startCeph } from '../support/ceph.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { createClient, type S3Access } from '../support/s3-client.ts';
import { startS3Server } from '../support/s3-server.ts';
import { makeRandomTree, randomSource, snapshotTree } from '../support/tree.ts';
import { debris } from '../workspace/versions.ts';

const BUCKET = 'flip-bucket';
const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    server: { type: 'string', default: 'in-process' },
  },
});
const base = mkdtempSync(join(tmpdir(), 'sandbox-cache-flip-'));
const project = join(base, 'project');
const deps = join(project, 'deps');
const server = await start();
const client = createClient(server.access);
try {
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  await main(Number(values.seed), Number(values.cases));
} finally {
  client.destroy();
  await server.stop();
  rmSync(base, { recursive: true, force: true });
}

async function main(from: number, cases: number): Promise<void> {
  makeTree(9);
  const saved = treeOf();
  mustEnd(await run('save'), 0);
  const entry = await stored(client);
  const parts = await partsOf(entry.body, 'gzip');

  rmSync(deps, { recursive: true });
  makeTree(10);
  const old = treeOf();
  const outcomes: Record<string, number> = {};
  for (let seed = from; seed < from + cases; seed++) {
    const random = randomSource(seed);
    const kind = random.pick(DAMAGES);
    const { bytes, what } = damage(parts, kind, random);
    await entry.replace(bytes);
    const result = await run('restore');
    const reason = /^\[cache\] error: [^\n]+ \[(ARCHIVE_\w+)\]\n$/.exec(result.stderr)?.[1];
    const left = debris(base);
    if (result.code !== 3 || reason === undefined || left.length > 0 || !isDeepStrictEqual(treeOf(), old))
      throw new Error(
        `seed ${seed}: ${what}: ended with ${result.code}, left [${left.join()}]\n${result.stderr}`,
      );
    outcomes[`${kind}: ${reason}`] = (outcomes[`${kind}: ${reason}`] ?? 0) + 1;
  }

  // Else a command that never restores anything would have passed.
  await entry.replace(entry.body);
  mustEnd(await run('restore'), 0);
  if (!isDeepStrictEqual(treeOf(), saved))
    throw new Error('the sound entry did not come back as it was saved');
  process.stdout.write(
    `${cases} damaged entries from ${values.server}, from seed ${from}: all exit 3, the old tree untouched\n`,
  );
  for (const [outcome, count] of Object.entries(outcomes).sort())
    process.stdout.write(`${count} ${outcome}\n`);
}

async function start(): Promise<{ access: S3Access; stop: () => Promise<void> }> {
  if (values.server === 'ceph') {
    const ceph = await startCeph();
    return { access: { ...ceph, region: 'us-east-1' }, stop: ceph.stop };
  }
  const own = await startS3Server({ buckets: [] });
  return { access: own, stop: () => own.close() };
}

/** Small files, links, and one file in pieces. */
function makeTree(seed: number): void {
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'deps.lock'), 'lock\n');
  makeRandomTree(deps, { seed, files: 200, maxSize: 16_384 });
  writeFileSync(join(deps, 'large.txt'), Buffer.alloc(5_000_000, `some words ${seed} `));
}

/** Without what a save and a restore write into it. */
function treeOf(): unknown {
  const ours = ['.sandbox-cache-receipt.json', '.installed'];
  return snapshotTree(deps, { skip: (path) => ours.includes(path) });
}

/** The one entry in the bucket. */
async function stored(s3: S3Client): Promise<{ body: Buffer; replace: (body: Buffer) => Promise<unknown> }> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET }));
  const place = { Bucket: BUCKET, Key: Contents[0]?.Key };
  const { Body, Metadata } = await s3.send(new GetObjectCommand(place));
  if (Body === undefined) throw new Error('nothing was saved');
  return {
    body: Buffer.from(await Body.transformToByteArray()),
    replace: (body) => s3.send(new PutObjectCommand({ ...place, Body: body, Metadata })),
  };
}

function run(command: 'save' | 'restore'): Promise<CliResult> {
  const { endpoint, region, credentials } = server.access;
  const env = {
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    CACHE_S3_BUCKET: BUCKET,
  };
  return runCli([command, 'deps', '--lockfile', 'deps.lock', '--path', 'deps'], { cwd: project, env });
}

function mustEnd({ code, stderr }: CliResult, expected: number): void {
  if (code !== expected) throw new Error(`ended with ${code}: ${stderr}`);
}
