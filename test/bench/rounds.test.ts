import { describe, expect, it } from 'vitest';
import { shell } from './measure.ts';
import { median, runRounds, type Contender } from './rounds.ts';

const quiet = () => {};

function contender(id: string, script: string, order: string[] = []): Contender {
  return {
    id,
    label: id,
    before: async (round) => void order.push(`${round}${id}`),
    command: () => shell(script),
  };
}

describe('runRounds', () => {
  it('runs everybody once a round, and turns the order', async () => {
    const order: string[] = [];
    const series = await runRounds([contender('a', 'true', order), contender('b', 'true', order)], 3, quiet);
    expect(order).toEqual(['0a', '0b', '1b', '1a', '2a', '2b']);
    expect(series.map(({ id, wallSeconds }) => [id, wallSeconds.length])).toEqual([
      ['a', 3],
      ['b', 3],
    ]);
  });

  it('gives up a contender that fails and goes on with the others', async () => {
    const series = await runRounds(
      [contender('bad', 'echo why >&2; exit 3'), contender('good', 'true')],
      2,
      quiet,
    );
    expect(series[0]?.failure).toMatch(/ended with 3\nwhy/);
    expect(series[1]?.wallSeconds).toHaveLength(2);
  });

  it('notices a pipeline whose first program fails', async () => {
    const [series] = await runRounds([contender('pipe', 'false | cat')], 1, quiet);
    expect(series?.failure).toMatch(/ended with 1/);
  });

  it('takes the seconds that a command measured itself, and what was stored', async () => {
    const [series] = await runRounds(
      [
        {
          ...contender('self', 'echo 12.5'),
          ownSeconds: Number,
          after: () => Promise.resolve({ storedBytes: 7 }),
        },
      ],
      1,
      quiet,
    );
    expect(series).toMatchObject({ wallSeconds: [12.5], storedBytes: 7 });
  });
});

describe('median', () => {
  it.each([
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[5], 5],
  ])('of %j is %d', (values, middle) => expect(median(values)).toBe(middle));
});
