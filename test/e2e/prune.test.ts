/** What prune deletes, what it does not, and what it says of it. */
import { describe, expect, it } from 'vitest';
import { lacks } from '../support/programs.ts';
import { expectExit, useSandbox } from './support.ts';

const sandbox = useSandbox();
const DAY = 24 * 3600 * 1000;

/** An entry of a recipe, so many days old. */
function place(recipe: string, days: number): string {
  const hash = String(days).padStart(16, '0');
  const key = `claude-sandbox-cache/${recipe}-${hash}-linux-x64.tar.gz`;
  const modified = new Date(Date.now() - days * DAY);
  sandbox.server.place(sandbox.bucket, { key, body: Buffer.alloc(1000 + days), modified });
  return key;
}

describe('where nothing would be left', () => {
  it.each([
    [['--keep', '0'], 'every entry (3)'],
    [['--older-than', '12h'], 'every entry (3)'],
    [['--max-size', '1B'], 'every entry (3)'],
    [['npm', '--keep', '0'], 'every entry of npm (2)'],
  ])('prune %j asks for --yes, and deletes nothing without', async (args, what) => {
    place('npm', 1);
    place('npm', 2);
    place('bundle', 3);
    const refused = expectExit(await sandbox.run(['prune', ...args]), 2);
    expect(refused.stderr).toContain(`This would delete ${what}`);
    expect(refused.stderr).toContain('--yes');
    expectExit(await sandbox.run(['prune', ...args, '--dry-run']), 0);
    expect(sandbox.keys).toHaveLength(3);
    expectExit(await sandbox.run(['prune', ...args, '--yes']), 0);
    expect(sandbox.keys).toHaveLength(args[0] === 'npm' ? 1 : 0);
  });

  it.skipIf(lacks('script')).each([
    ['y\n', 'Deleted 1 of 1 entries', 0],
    ['n\n', 'Deleted 0 of 1 entries', 1],
    ['\n', 'Deleted 0 of 1 entries', 1],
    // Ctrl-D.
    ['\u0004', 'Deleted 0 of 1 entries', 1],
  ])('a person at a terminal is asked, and answers %j', async (input, said, left) => {
    place('npm', 1);
    const script = `script -qec 'sandbox-cache prune --keep 0' /dev/null`;
    const { stdout } = expectExit(await sandbox.script(script, { input }), 0);
    expect(stdout).toContain('Delete every entry (1)? [y/N]');
    expect(stdout).toContain(said);
    expect(sandbox.keys).toHaveLength(left);
  });
});

describe('what is deleted', () => {
  it('is what was listed: an entry that somebody replaces meanwhile stays, and is told', async () => {
    const [kept, replaced, gone] = [place('npm', 1), place('npm', 2), place('npm', 3)];
    const { server, bucket } = sandbox;
    const body = Buffer.from('new');
    server.faults.add({
      match: ({ operation, key }) => operation === 'DeleteObject' && key === replaced,
      effect: { type: 'before', run: () => void server.place(bucket, { key: replaced, body }) },
    });
    server.faults.add({
      match: ({ operation, key }) => operation === 'GetObject' && key === gone,
      effect: { type: 'before', run: () => void server.bucket(bucket).objects.delete(gone) },
    });
    const result = expectExit(await sandbox.run(['prune', '--keep', '1']), 0);
    expect(result.stderr).toMatch(/s3:\S+ was not deleted: it has been replaced since it was listed/);
    expect(result.stdout).toMatch(/^Deleted 0 of 2 entries/m);
    expect(sandbox.keys).toEqual([kept, replaced].sort());
  });

  it('is the same on a server that refuses its own ETags', async () => {
    place('npm', 1);
    place('npm', 2);
    sandbox.server.faults.add({
      match: ({ operation, headers }) => operation === 'DeleteObject' && 'if-match' in headers,
      effect: { type: 'error', status: 412, code: 'PreconditionFailed' },
    });
    expect(expectExit(await sandbox.run(['prune', '--keep', '1']), 0).stdout).toMatch(/^Deleted 1 of 2/m);
    expect(sandbox.keys).toHaveLength(1);
  });
});

describe('on a machine whose clock is 40 days ahead of the service', () => {
  const ahead = useSandbox({ clockOffsetMs: -40 * DAY });

  it('ages are those of the service', async () => {
    const place = (recipe: string, days: number): string => {
      const key = `claude-sandbox-cache/${recipe}-0123456789abcdef-linux-x64.tar.gz`;
      const modified = new Date(Date.now() - (40 + days) * DAY);
      ahead.server.place(ahead.bucket, { key, body: Buffer.alloc(9), modified });
      return key;
    };
    const fresh = place('fresh', 1);
    place('old', 31);
    expect(expectExit(await ahead.run(['list']), 0).stdout).toMatch(/^fresh +9 bytes +1 d /m);
    expect(expectExit(await ahead.run(['prune', '--older-than', '30d']), 0).stdout).toMatch(
      /^Deleted 1 of 2/m,
    );
    expect(ahead.keys).toEqual([fresh]);
  });
});

it('an entry of unknown age is not old, and its age is told as unknown', async () => {
  const key = place('npm', 1);
  const page = (): string =>
    `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>${key}</Key><LastModified>yesterday</LastModified><ETag>"e"</ETag><Size>9</Size></Contents></ListBucketResult>`;
  sandbox.server.faults.add({
    match: ({ operation }) => operation === 'ListObjectsV2',
    times: 3,
    effect: { type: 'document', make: page },
  });
  expect(expectExit(await sandbox.run(['prune', '--older-than', '1s']), 0).stdout).toMatch(
    /^Deleted 0 of 1/m,
  );
  expect(expectExit(await sandbox.run(['list']), 0).stdout).toMatch(/^npm +9 bytes +- /m);
  const listed = JSON.parse(expectExit(await sandbox.run(['list', '--json']), 0).stdout) as unknown;
  expect(listed).toMatchObject({ entries: [{ key, modified: null }] });
});

it('a listing with a size that is none stops it before anything is deleted', async () => {
  const [first, second] = [place('npm', 1), place('npm', 2)];
  const page = (): string =>
    `<ListBucketResult><IsTruncated>false</IsTruncated>${[first, second]
      .map(
        (key, index) => `<Contents><Key>${key}</Key><Size>${index === 0 ? 9 : 'unknown'}</Size></Contents>`,
      )
      .join('')}</ListBucketResult>`;
  sandbox.server.faults.add({
    match: ({ operation }) => operation === 'ListObjectsV2',
    effect: { type: 'document', make: page },
  });
  const result = expectExit(await sandbox.run(['prune', '--max-size', '10GB']), 3);
  expect(result.stderr).toContain('no possible size');
  expect(sandbox.keys).toHaveLength(2);
});
