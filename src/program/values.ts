/** Values that flags take. */
import { InvalidArgumentError } from 'commander';
import { parseDuration, parseSize } from '../config/values.ts';

export function duration(text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw new InvalidArgumentError('It takes a number and a unit: 30d, 12h, 90m.');
  return value;
}

export function size(text: string): number {
  const value = parseSize(text);
  if (value === undefined) throw new InvalidArgumentError('It takes a size: 500MB, 10GB.');
  return value;
}

export function hash(text: string): string {
  if (!/^[0-9a-f]{16}$/.test(text)) throw new InvalidArgumentError('It takes 16 hex digits.');
  return text;
}

export function count(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It takes a whole number.');
  return Number(text);
}
