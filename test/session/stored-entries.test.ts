import { describe, expect, it } from 'vitest';
import type { StoredEntry } from '../../src/session/stored-entries.ts';
import { chooseDoomed } from '../../src/commands/prune.ts';

const DAY = 86_400_000;

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
      modified: undefined,
      compression: 'gzip' as const,
      ageMs: days * DAY,
      etag: String(days),
    }))
    .sort((a, b) => a.ageMs - b.ageMs);
}

function doomed(options: Parameters<typeof chooseDoomed>[1] | object, list: StoredEntry[]): string[] {
  return chooseDoomed(list, options).map((entry) => entry.key);
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

  it('counts each runtime and each compression by itself', () => {
    const other = [
      { ...entries(['npm', 2])[0]!, compression: 'zstd' as const },
      { ...entries(['npm', 3])[0]!, runtime: 'linux-arm64' },
    ];
    expect(doomed({ keep: 1 }, [...entries(['npm', 1]), ...other, ...entries(['npm', 4])])).toEqual([
      'p/npm-4',
    ]);
  });

  it('takes an entry of unknown age for a new one', () => {
    const undated = { ...entries(['npm', 0])[0]!, key: 'p/undated', ageMs: undefined };
    expect(doomed({ olderThanMs: 0 }, [undated, ...entries(['npm', 1])])).toEqual(['p/npm-1']);
    expect(doomed({ maxBytes: 10 }, [undated, ...entries(['npm', 1])])).toEqual(['p/npm-1']);
  });
});
