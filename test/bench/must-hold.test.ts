import { describe, expect, it } from 'vitest';
import { judge } from './must-hold.ts';
import { joinResults, readResults, writeResults, type Results } from './results.ts';
import type { Series } from './rounds.ts';
import { renderResults } from './tables.ts';

function series(id: string, wallSeconds: number[], more: Partial<Series> = {}): Series {
  return {
    id,
    label: id,
    ours: id.includes('ours'),
    wallSeconds,
    cpuSeconds: wallSeconds,
    peakRssBytes: wallSeconds.map(() => 100 * 2 ** 20),
    ...more,
  };
}

function results(measured: Series[]): Results {
  return {
    machine: {
      date: '2026-01-01',
      cores: 2,
      cpu: 'a CPU',
      memoryBytes: 2 ** 33,
      system: 'linux',
      node: 'v20.20.0',
      zstdNode: undefined,
      scratchFileSystem: 'tmpfs',
      tools: {
        tar: 'tar (GNU tar) 1.34',
        gzip: undefined,
        bsdtar: undefined,
        pigz: undefined,
        zstd: undefined,
        aws: undefined,
        radosgw: undefined,
        bundle: undefined,
      },
      loadBefore: 0,
    },
    workers: [1, 2],
    corpora: [{ name: 'L', title: 'large', tree: { files: 1000, directories: 10, links: 1, bytes: 5e6 } }],
    s3Server: undefined,
    series: measured,
    roundTrips: [],
  };
}

const row = (measured: Series[], text: string) =>
  judge(results(measured)).find((verdict) => verdict.text === text);

describe('judge', () => {
  it('compares medians, with as many workers as were measured', () => {
    const measured = [
      series('L/unpack/ours-gzip-2', [1, 9, 2]),
      series('L/unpack/tar-gzip', [5, 5, 5]),
      series('L/unpack/ours-gzip-1', [3, 3, 3]),
    ];
    expect(row(measured, 'unpack / `tar -xzf`')).toMatchObject({ figure: 0.4, broken: false });
    expect(row(measured, 'unpack, 2 workers / 1 worker')).toMatchObject({ figure: 2 / 3, broken: true });
  });

  it('takes the highest memory of ours, not of the rivals', () => {
    const high = { peakRssBytes: [10, 300 * 2 ** 20] };
    const text = 'peak memory of ours, any corpus';
    expect(row([series('B/pack/ours-none-1', [1], high)], text)).toMatchObject({ figure: 300, broken: true });
    expect(row([series('B/pack/node-tar', [1], high)], text)).toMatchObject({ figure: undefined });
  });

  it('leaves a row open when a side was not measured or failed', () => {
    const ours = series('L/pack/ours-gzip-2', [1]);
    const failed = series('L/pack/tar-gzip', [1], { failure: 'no' });
    expect(row([ours], 'pack / `tar -czf`')).toMatchObject({ figure: undefined, broken: false });
    expect(row([ours, failed], 'pack / `tar -czf`')).toMatchObject({ figure: undefined, broken: false });
  });
});

describe('renderResults', () => {
  it('shows medians, ratios to the baseline and what failed', () => {
    const text = renderResults(
      results([
        series('L/pack/ours-gzip-2', [2, 2, 2], { storedBytes: 3e6 }),
        series('L/pack/tar-gzip', [8, 8, 8], { storedBytes: 3.1e6 }),
        series('L/pack/pigz', [], { failure: 'not today' }),
      ]),
    );
    expect(text).toContain('| **L/pack/ours-gzip-2** | 2.00 | 3 | 2.00 | 100 | 3.0 | 0.25 |');
    expect(text).toContain('| L/pack/tar-gzip | 8.00 | 3 | 8.00 | 100 | 3.1 | 1.00 |');
    expect(text).toContain('| L/pack/pigz | failed |');
    expect(text).toContain('gzip: not installed, not measured');
  });

  it('shows what was not measured as such, also once it has been through JSON', () => {
    const ours = series('L/deflate/ours-1', [2, 2], {
      cpuSeconds: [undefined, undefined],
      peakRssBytes: [undefined, undefined],
    });
    const partly = series('L/deflate/zlib-6', [4, 4], { cpuSeconds: [undefined, 3] });
    const measured = results([ours, partly]);
    const read = readResults(writeResults(measured));
    expect(renderResults(read)).toBe(renderResults(measured));
    expect(renderResults(read)).toContain('| **L/deflate/ours-1** | 2.00 | 2 | - | - | 0.50 |');
    expect(renderResults(read)).toContain('| L/deflate/zlib-6 | 4.00 | 2 | 3.00 | 100 | 1.00 |');
  });
});

describe('joinResults', () => {
  const large = results([series('L/pack/ours-gzip-2', [1]), series('L/pack/tar-gzip', [8])]);

  it('has the rows of every run, and each corpus once', () => {
    const joined = joinResults([large, results([series('S/pack/ours-gzip-2', [3])])]);
    expect(joined.series.map(({ id }) => id)).toEqual([
      'L/pack/ours-gzip-2',
      'L/pack/tar-gzip',
      'S/pack/ours-gzip-2',
    ]);
    expect(joined.corpora).toHaveLength(1);
  });

  it('refuses rows that two runs have, and runs of different machines', () => {
    expect(() => joinResults([large, large])).toThrow(/L\/pack\/ours-gzip-2 was measured in two/);
    const elsewhere = { ...results([]), machine: { ...large.machine, cpu: 'another CPU' } };
    expect(() => joinResults([large, elsewhere])).toThrow(/another CPU/);
  });
});
