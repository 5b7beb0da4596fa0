import { describe, expect, it } from 'vitest';
import { chooseDoomed, type StoredEntry } from '../../src/commands/entries.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 0, 31);

/** Newest first, as the store's entries are sorted. */
function entries(...ages: [recipe: string, days: number, size?: number][]): StoredEntry[] {
  return ages
    .map(([recipe, days, size = 10]) => ({
      key: `p/${recipe}-${days}`,
      url: `s3://b/p/${recipe}-${days}`,
      recipe,
      hash: '0'.repeat(16),
      runtime: 'linux-x64',
      size,
      modified: new Date(NOW - days * DAY),
      etag: String(days),
    }))
    .sort((a, b) => b.modified.getTime() - a.modified.getTime());
}

function doomed(options: Parameters<typeof chooseDoomed>[1] | object, list: StoredEntry[]): string[] {
  return chooseDoomed(list, { dryRun: true, ...options }, NOW).map((entry) => entry.key);
}

describe('what prune chooses', () => {
  const list = entries(['npm', 1], ['npm', 10], ['npm', 40], ['bundle', 35], ['bundle', 50]);

  it('takes what is older, of every recipe', () => {
    expect(doomed({ olderThanMs: 30 * DAY }, list)).toEqual(['p/bundle-35', 'p/npm-40', 'p/bundle-50']);
  });

  it('keeps the newest of each recipe and runtime', () => {
    expect(doomed({ keep: 1 }, list)).toEqual(['p/npm-10', 'p/npm-40', 'p/bundle-50']);
  });

  it('keeps the newest however old, with both', () => {
    expect(doomed({ keep: 1, olderThanMs: 30 * DAY }, list)).toEqual(['p/npm-40', 'p/bundle-50']);
  });

  it('then takes the oldest until the rest fits', () => {
    expect(doomed({ maxBytes: 30 }, list)).toEqual(['p/bundle-50', 'p/npm-40']);
    expect(doomed({ maxBytes: 50 }, list)).toEqual([]);
    expect(doomed({ maxBytes: 0 }, list)).toHaveLength(5);
  });
});
