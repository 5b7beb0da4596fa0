/** A journal is a file in somebody's project. One that is not exactly what a commit writes is none: nothing is moved for it. */
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  readJournal,
  removeJournal,
  writeJournal,
  type Journal,
} from '../../../src/workspace/commit/journal.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../support/temporary.ts';
import { isRoot } from '../../support/user.ts';

let folder: TemporaryFolder;
let run: string;
beforeEach(async () => {
  folder = await makeTemporaryFolder('journal');
  run = folder.path;
});
afterEach(() => folder.remove());

const MOVE = { name: 'pkg', goes: true, comes: false, doomed: false };
const TREE = { target: 'node_modules', bay: 'inside' as const, slot: 1, moves: [MOVE] };
const JOURNAL: Journal = { version: 1, phase: 'swap', trees: [TREE] };

const plant = (value: unknown): void => writeFileSync(join(run, 'journal.json'), JSON.stringify(value));

it.each<[string, Journal]>([
  ['of children', JOURNAL],
  ['of whole trees', { ...JOURNAL, phase: 'forward', trees: [{ ...TREE, moves: [{ ...MOVE, name: '' }] }] }],
  ['with times', { ...JOURNAL, trees: [{ ...TREE, times: { before: '1', after: '1600000000123457' } }] }],
  ['of nothing', { ...JOURNAL, trees: [] }],
  ...(['home', 'beside', 'inside'] as const).map((bay): [string, Journal] => [
    `in the bay ${bay}`,
    { ...JOURNAL, trees: [{ ...TREE, bay }] },
  ]),
])('comes back as it was written, and only for this user: one %s', (_, journal) => {
  writeJournal(run, journal);
  expect(readJournal(run)).toEqual(journal);
  expect(statSync(join(run, 'journal.json')).mode & 0o777).toBe(0o600);
  expect(readdirSync(run)).toEqual(['journal.json']);
  removeJournal(run);
  expect(readJournal(run)).toBeUndefined();
});

const withTree = (change: object): unknown => ({ ...JOURNAL, trees: [TREE, { ...TREE, ...change }] });
const withMove = (change: object): unknown => withTree({ moves: [MOVE, { ...MOVE, ...change }] });

describe('is none', () => {
  it.each<[string, unknown]>([
    ['nothing', null],
    ['a text', 'journal'],
    ['another version', { ...JOURNAL, version: 2 }],
    ['another phase', { ...JOURNAL, phase: 'back' }],
    ['no trees', { ...JOURNAL, trees: undefined }],
    ['trees that are no list', { ...JOURNAL, trees: { length: 1 } }],
    ['a tree that is none', { ...JOURNAL, trees: [null] }],
    ['a target that is no text', withTree({ target: 1 })],
    ['another bay', withTree({ bay: 'elsewhere' })],
    ['no bay', withTree({ bay: undefined })],
    ['a slot that is a path', withTree({ slot: '../..' })],
    ['a slot that is no whole number', withTree({ slot: 0.5 })],
    ['no moves', withTree({ moves: undefined })],
    ['moves that are no list', withTree({ moves: 'pkg' })],
    ['a move that is none', withTree({ moves: ['pkg'] })],
    ['a name that is no text', withMove({ name: 1 })],
    ['a path', withMove({ name: 'a/b' })],
    ['a name with NUL', withMove({ name: 'a\0b' })],
    ['this directory', withMove({ name: '.' })],
    ['the one above', withMove({ name: '..' })],
    ['no word on what goes', withMove({ goes: undefined })],
    ['a number for what comes', withMove({ comes: 1 })],
    ['a text for what is doomed', withMove({ doomed: 'yes' })],
    ...['now', '1 2', 'x1', ''].flatMap((time): [string, unknown][] => [
      [`a time before that is ${JSON.stringify(time)}`, withTree({ times: { before: time, after: '1' } })],
      [`a time after that is ${JSON.stringify(time)}`, withTree({ times: { before: '1', after: time } })],
    ]),
    ['a time before 1970', withTree({ times: { before: '-1', after: '1' } })],
  ])('%s', (_, value) => {
    plant(value);
    expect(readJournal(run)).toBeUndefined();
  });

  it('what is cut off', () => {
    writeJournal(run, JOURNAL);
    truncateSync(join(run, 'journal.json'), 20);
    expect(readJournal(run)).toBeUndefined();
  });

  it('a link to one, and a directory', () => {
    writeFileSync(join(run, 'elsewhere'), JSON.stringify(JOURNAL));
    symlinkSync('elsewhere', join(run, 'journal.json'));
    expect(readJournal(run)).toBeUndefined();
    mkdirSync(join(run, 'other/journal.json'), { recursive: true });
    expect(readJournal(join(run, 'other'))).toBeUndefined();
  });
});

// Root may read everything.
it.runIf(!isRoot())('one that may not be read stops the run: what it tells of would be lost', () => {
  writeJournal(run, JOURNAL);
  chmodSync(join(run, 'journal.json'), 0);
  expect(() => readJournal(run)).toThrow(/EACCES/);
});
