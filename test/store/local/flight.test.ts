import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createFlights, type Flight, type Flights } from '../../../src/store/local/flight.ts';
import { TEMPORARY_NAME } from '../../../src/store/local/layout.ts';

const { signal } = new AbortController();
const KEY = 'cache/npm-0123.tar.gz';
let dir: string;
let flights: Flights;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sandbox-cache-flight-'));
  flights = createFlights(dir);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const marks = (): Promise<string[]> => readdir(join(dir, '.sandbox-cache', 'temporary'));

async function lead(key = KEY): Promise<Flight> {
  const flight = await flights.join(key, { signal, onWait: () => {} });
  if (flight === 'landed') throw new Error('it does not lead');
  return flight;
}

it('one leads; the others wait until it lands, and are told once', async () => {
  const flight = await lead();
  let told = 0;
  const waiting = [1, 2, 3].map(() => flights.join(KEY, { signal, onWait: () => (told += 1) }));
  const other = await lead('cache/another');
  await other.land();
  flight.beat();
  await flight.land();
  await flight.land();
  expect(await Promise.all(waiting)).toEqual(['landed', 'landed', 'landed']);
  expect(told).toBe(3);
  expect(await marks()).toEqual([]);
});

it('a mark is named as a temporary file, so that it is tidied away', async () => {
  await lead();
  const [name, ...more] = await marks();
  expect(name).toMatch(TEMPORARY_NAME);
  expect(more).toEqual([]);
});

it('a leader that is silent is succeeded, and cannot end the flight of its successor', async () => {
  const dead = await lead();
  const next = await lead();
  await dead.land();
  expect(await marks()).toHaveLength(1);
  await next.land();
  expect(await marks()).toHaveLength(0);
});

it('a leader to whom bytes come is waited for longer than the silence of a dead one', async () => {
  await lead();
  const path = join(dir, '.sandbox-cache', 'temporary', (await marks())[0]!);
  const beating = setInterval(() => void appendFile(path, '.'), 500);
  const began = performance.now();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error('late')), 4000);
  await expect(flights.join(KEY, { signal: late.signal, onWait: () => {} })).rejects.toThrow('late');
  expect(performance.now() - began).toBeGreaterThan(3500);
  clearInterval(beating);
  clearTimeout(timer);
});
