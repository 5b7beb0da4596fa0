/** Holds a project's `node_modules` as a restore does, until its stdin ends: `node hold-process.mjs /project`. */
import { readFileSync } from 'node:fs';
import { openStaging } from '../../src/workspace/staging.ts';

const [, , projectDir = ''] = process.argv;
const { signal } = new AbortController();
const staging = await openStaging({ projectDir, targets: ['node_modules'], signal });
process.stdout.write(`held ${readFileSync('/proc/self/stat', 'utf8').split(' ')[0]}\n`);
process.stdin.resume();
process.stdin.once('end', () => void staging.close());
