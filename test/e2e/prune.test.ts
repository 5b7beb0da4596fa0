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
