import {
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { probeStore, type ProbeOptions } from '../../../../src/store/s3/probe/probe.ts';
import { lifecycleFacts } from '../../../../src/store/s3/probe/settings.ts';
import { availableServers, describeEachServer, type S3Target } from '../../../support/servers.ts';
import { startS3Server, type LoggedRequest, type S3Server } from '../../../support/s3-server.ts';

const PREFIX = 'team/cache';

function options(
  { endpoint, region, credentials }: Pick<S3Target, 'endpoint' | 'region' | 'credentials'>,
  bucket: string,
): ProbeOptions {
  const { signal } = new AbortController();
  const where = { endpoint, region, credentials, bucket };
  return { ...where, accelerate: false, stallTimeoutMs: 8000, retryDelayMs: 20, prefix: PREFIX, signal };
}

describeEachServer(await availableServers(), (target) => {
  it.each([false, true])(
    'says what this server does, and leaves nothing (versions: %s)',
    async (versions) => {
      const { client, traits, inProcess } = target();
      // Ours keeps no versions.
      if (versions && (inProcess !== undefined || !traits.bucketSettings)) return;
      const { bucket } = await target().place();
      if (versions) {
        const VersioningConfiguration = { Status: 'Enabled' } as const;
        await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
      }
      const facts = await probeStore(options(target(), bucket));
      expect(facts.unusable).toBeUndefined();
      for (const right of Object.values(facts.rights)) expect(right).toEqual({ type: 'known', value: true });
      const said = (honoured: boolean): unknown => ({
        type: 'known',
        value: honoured ? 'honoured' : 'ignored',
      });
      // Ceph RGW 16 forgets the condition where versions are kept.
      if (traits.refusesConditions) expect(facts.putIfAbsent).toEqual({ type: 'known', value: 'refused' });
      else if (!versions) expect(facts.putIfAbsent).toEqual(said(traits.conditionalPut));
      expect(facts.completeIfAbsent).toEqual(said(traits.conditionalComplete));
      if (!versions && traits.conditionalPut && traits.atomicConditions)
        expect(facts.raceWinners).toEqual({ type: 'known', value: 1 });
      expect(facts.ranges).toEqual({ type: 'known', value: true });
      expect(facts.partCopy).toEqual({ type: 'known', value: true });
      expect(facts.versioning).toEqual({ type: 'known', value: versions ? 'Enabled' : undefined });
      expect([facts.download.type, facts.upload.type, facts.latencyMs.type]).toEqual([
        'known',
        'known',
        'known',
      ]);
      expect(Math.abs(facts.clockAheadMs)).toBeLessThan(60_000);
      expect(facts.left).toEqual([]);
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
      expect([...Uploads, ...Contents]).toEqual([]);
      if (inProcess !== undefined) return;
      const all = await client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
      expect([...(all.Versions ?? []), ...(all.DeleteMarkers ?? [])]).toEqual([]);
    },
  );
});

describe('a server that', () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startS3Server({ buckets: ['b'] });
  });
  afterAll(() => server.close());
  beforeEach(() => {
    server.faults.clear();
    server.requests.length = 0;
    server.bucket('b').settings.clear();
    server.bucket('b').objects.clear();
    server.bucket('b').uploads.clear();
  });
  const probe = (more: Partial<ProbeOptions> = {}) => probeStore({ ...options(server, 'b'), ...more });
  const isConditional = (operation: string) => (request: LoggedRequest) =>
    request.operation === operation && request.headers['if-none-match'] !== undefined;
  const nothingLeft = (): void => {
    expect([...server.bucket('b').objects.keys()]).toEqual([]);
    expect(server.bucket('b').uploads.size).toBe(0);
  };

  it('ignores conditions', async () => {
    for (const operation of ['PutObject', 'CompleteMultipartUpload'])
      server.faults.add({
        match: isConditional(operation),
        times: 99,
        effect: { type: 'ignore-conditions' },
      });
    const facts = await probe();
    expect(facts.putIfAbsent).toMatchObject({ value: 'ignored' });
    expect(facts.completeIfAbsent).toMatchObject({ value: 'ignored' });
    expect(facts.raceWinners).toMatchObject({ value: 8 });
    nothingLeft();
  });

  it('refuses conditions', async () => {
    const effect = { type: 'error', status: 501, code: 'NotImplemented' } as const;
    for (const operation of ['PutObject', 'CompleteMultipartUpload'])
      server.faults.add({ match: isConditional(operation), times: 99, effect });
    const facts = await probe();
    expect(facts.putIfAbsent).toMatchObject({ value: 'refused' });
    expect(facts.completeIfAbsent).toMatchObject({ value: 'refused' });
    expect(facts.raceWinners).toMatchObject({ type: 'untried' });
    nothingLeft();
  });

  it('knows no ranges', async () => {
    const match = ({ range }: LoggedRequest): boolean => range !== undefined;
    server.faults.add({ match, times: 99, effect: { type: 'ignore-range' } });
    expect((await probe()).ranges).toMatchObject({ value: false });
    nothingLeft();
  });

  it.each([
    ['list', 'ListObjectsV2'],
    ['get', 'GetObject'],
    ['put', 'PutObject'],
    ['delete', 'DeleteObject'],
    ['abort', 'AbortMultipartUpload'],
    ['multipart', 'CreateMultipartUpload'],
  ] as const)('denies %s', async (right, operation) => {
    const accessKeyId = `AKIADENIED${right.toUpperCase()}00`;
    const user = { accessKeyId, secretAccessKey: 'secret', deny: (name: string) => name === operation };
    server.addUser(user);
    const { rights, left } = await probe({ credentials: user });
    expect(rights[right].type).toBe('denied');
    const others = Object.entries(rights).filter(([name, { type }]) => name !== right && type === 'denied');
    // IAM has one right for both.
    expect(others.map(([name]) => name)).toEqual(right === 'put' ? ['multipart'] : []);
    expect(left).toEqual([]);
    nothingLeft();
  });

  it.each(['nobody may write', 'Object Lock'])('must not be written to: %s', async (why) => {
    const match = ({ query }: LoggedRequest): boolean => query.has('object-lock');
    const lock =
      '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>';
    if (why === 'Object Lock') server.faults.add({ match, effect: { type: 'document', make: () => lock } });
    const facts = await probe(why === 'Object Lock' ? {} : { noWrite: why });
    expect(facts.rights.put).toMatchObject({ type: 'untried' });
    expect(facts.rights.list).toMatchObject({ type: 'known' });
    expect(server.requests.map(({ method }) => method).filter((method) => method !== 'GET')).toEqual([]);
  });

  it('is read where an entry is there and nothing may be written', async () => {
    server.place('b', { key: `${PREFIX}/entry`, body: Buffer.alloc(100_000) });
    const facts = await probe({ noWrite: 'no' });
    server.bucket('b').objects.clear();
    expect(facts.ranges).toEqual({ type: 'known', value: true });
    expect(facts.download.type).toBe('known');
  });

  it.each(['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'DeleteObject'])(
    'is interrupted at %s has nothing left',
    async (operation) => {
      const controller = new AbortController();
      const run = (): void => controller.abort(new Error('stop'));
      const match = (request: LoggedRequest): boolean => request.operation === operation;
      server.faults.add({ match, effect: { type: 'before', run } });
      await expect(probe({ signal: controller.signal })).rejects.toThrow('stop');
      nothingLeft();
    },
  );

  it('sends no more than 16 MiB, all of it below .doctor', async () => {
    await probe();
    const writes = server.requests.filter(({ method }) => method !== 'GET');
    expect(writes.filter(({ key }) => !/^team\/cache\/\.doctor\/[0-9a-f-]{36}\//.test(key))).toEqual([]);
    const sent = writes.reduce((sum, { headers }) => sum + Number(headers['content-length'] ?? 0), 0);
    expect(sent).toBeLessThanOrEqual(16 * 1024 * 1024);
  });
});

describe('lifecycleFacts', () => {
  const rule = { ID: 'r', Status: 'Enabled', Expiration: { Days: 30 } } as const;
  it.each([
    [{ ...rule, Filter: { Prefix: 'team/cache/' } }, 30],
    [{ ...rule, Filter: { Prefix: '' } }, 30],
    [{ ...rule, Prefix: 'team/' }, 30],
    [{ ...rule, Filter: { Prefix: 'team/cache/npm-' } }, undefined],
    [{ ...rule, Filter: { Tag: { Key: 'a', Value: 'b' } } }, undefined],
    [{ ...rule, Status: 'Disabled' as const, Filter: { Prefix: '' } }, undefined],
  ])('%j', (given, days) => {
    expect(lifecycleFacts([given], 'team/cache/').expiresAfterDays).toBe(days);
  });
});
