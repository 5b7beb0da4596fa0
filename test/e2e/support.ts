/**
 * What the end-to-end suites share: a server and a bucket, a folder of one's own, a small project that needs no package
 * manager, and the built command run in it.
 */
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import {
  runCli,
  runScript,
  startCli,
  type CliOptions,
  type CliResult,
  type RunningCli,
} from '../support/cli.ts';
import { startS3Server, type S3Server, type S3ServerOptions } from '../support/s3-server.ts';
import { snapshotTree, type TreeEntry } from '../support/tree.ts';

export type { CliResult, RunningCli } from '../support/cli.ts';

/** Options of one run: `env` goes over the sandbox's own; undefined takes a variable away. */
export type RunOptions = Partial<CliOptions>;

/** The recipe that `makeProject` is for, as arguments. */
export const DEPS = ['deps', '--lockfile', 'deps.lock', '--path', 'deps'] as const;

/** A server for all tests of a file; for each test a folder and a bucket of its own, and no faults left over. */
export function useSandbox(options: S3ServerOptions = {}): Sandbox {
  const sandbox = new Sandbox();
  beforeAll(async () => {
    sandbox.server = await startS3Server({ buckets: [], ...options });
  });
  beforeEach(() => sandbox.renew());
  afterEach(() => sandbox.clear());
  afterAll(() => sandbox.server.close());
  return sandbox;
}

/** Not of a process that has ended and that nobody has waited for. */
function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** A folder that each test finds empty. */
export function useFolder(): { readonly path: string } {
  const folder = { path: '' };
  beforeEach(() => void (folder.path = mkdtempSync(join(tmpdir(), 'sandbox-cache-e2e-'))));
  afterEach(() => rmSync(folder.path, { recursive: true, force: true }));
  return folder;
}

export class Sandbox {
  server!: S3Server;
  /** Where the test may do as it likes; `project` lies in it. */
  folder = '';
  bucket = '';
  /** What `save --background` has started: it writes into the folder as long as it runs. */
  readonly #inBackground: number[] = [];

  renew(): void {
    this.folder = mkdtempSync(join(tmpdir(), 'sandbox-cache-e2e-'));
    this.bucket = `bucket-${randomBytes(6).toString('hex')}`;
    this.server.createBucket(this.bucket);
    this.server.faults.clear();
    this.server.requests.length = 0;
    mkdirSync(this.project);
  }

  async clear(): Promise<void> {
    const left = this.#inBackground.splice(0);
    await expect.poll(() => left.filter(isRunning), { timeout: 30_000 }).toEqual([]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  get project(): string {
    return join(this.folder, 'project');
  }

  /** Reaches the server and the bucket. */
  get env(): Record<string, string> {
    return { ...this.server.environment, CACHE_S3_BUCKET: this.bucket };
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<CliResult> {
    const result = await runCli(args, this.options(options));
    const [, pid] = /(?:\(process |"pid": ?)(\d+)/.exec(result.stdout) ?? [];
    if (args.includes('--background') && pid !== undefined) this.#inBackground.push(Number(pid));
    return result;
  }

  start(args: readonly string[], options: RunOptions = {}): Promise<RunningCli> {
    return startCli(args, this.options(options));
  }

  /** A bash script with `sandbox-cache` on its PATH. */
  script(text: string, options: RunOptions = {}): Promise<CliResult> {
    return runScript(text, this.options(options));
  }

  /** The keys in the bucket, in byte order. */
  get keys(): string[] {
    return [...this.server.bucket(this.bucket).objects.keys()].sort();
  }

  /** The only key in the bucket. */
  get key(): string {
    const [key, ...more] = this.keys;
    if (key === undefined || more.length > 0) throw new Error(`not one entry but ${this.keys.length}`);
    return key;
  }

  get etag(): string | undefined {
    return this.server.bucket(this.bucket).objects.get(this.key)?.etag;
  }

  /** Where notes of faulty entries are kept: TMPDIR is the home of a run. */
  get notesDir(): string {
    return join(`${this.project}.home`, `sandbox-cache-${process.geteuid?.()}`);
  }

  /** The notes of faulty entries. */
  get notes(): unknown[] {
    const dir = this.notesDir;
    const names = existsSync(dir) ? readdirSync(dir) : [];
    return names
      .filter((name) => name.startsWith('rejected-'))
      .map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')) as unknown);
  }

  /** Multipart uploads that nobody has completed or aborted. */
  get uploads(): number {
    return this.server.bucket(this.bucket).uploads.size;
  }

  /** Puts these bytes under the key, as another save would. */
  saveAgain(body: Buffer): void {
    this.alter(() => body, { 'write-id': randomUUID() });
  }

  /** What a service does that copies the object onto itself: only its ETag is another. */
  copyOntoItself(): void {
    const object = this.server.bucket(this.bucket).objects.get(this.key)!;
    object.etag = randomBytes(16).toString('hex');
  }

  /** Puts other bytes under the key, as a broken disk or another program would: what travels with the entry stays. */
  alter(change: (body: Buffer) => Buffer, changed: Record<string, string> = {}): void {
    const { key, bucket, server } = this;
    const object = server.bucket(bucket).objects.get(key);
    const metadata: Record<string, string> = {};
    for (const [name, value] of Object.entries(object?.headers ?? {})) {
      if (name.startsWith('x-amz-meta-')) metadata[name.slice('x-amz-meta-'.length)] = value;
    }
    const body = change(Buffer.from(server.read(bucket, key)!));
    server.place(bucket, { key, body, metadata: { ...metadata, ...changed } });
  }

  private options(options: RunOptions): CliOptions {
    return { cwd: this.project, ...options, env: { ...this.env, ...options.env } };
  }
}

/** A lockfile and an installed tree with what trees hold: programs, links, folders, a file of some size. */
export function makeProject(dir: string, { bigBytes = 0, lock = 'one\n' } = {}): void {
  writeFiles(dir, {
    'deps.lock': lock,
    'deps/tool/run.sh': '#!/bin/sh\necho tool\n',
    'deps/tool/data.txt': 'data\n'.repeat(1000),
    'deps/empty.txt': '',
  });
  // Random: what is compressed away would not be sent in parts.
  if (bigBytes > 0) writeFileSync(join(dir, 'deps/big.bin'), randomBytes(bigBytes));
  for (const path of ['deps/tool/data.txt', 'deps/empty.txt']) {
    utimesSync(join(dir, path), 1_600_000_000.123456, 1_600_000_000.123456);
  }
}

export function writeFiles(dir: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
  }
}

const OURS = /(^|\/)(\.sandbox-cache-receipt\.json|\.installed)$/;

/** The tree as it was saved: without what a restore writes into it. */
export function treeOf(dir: string): Record<string, TreeEntry> {
  return snapshotTree(dir, { skip: (path) => OURS.test(path) });
}

export function wipe(dir: string, ...targets: string[]): void {
  for (const target of targets) rmSync(join(dir, target), { recursive: true, force: true });
}

/** Anything of ours that a finished run must not leave behind, in a project directory and beside its targets. */
export function debris(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter(
    (path) => /(^|\/)\.sandbox-cache-/.test(path) && !OURS.test(path),
  );
}

/** The `[cache]` lines of steps, without the mark; no warnings or errors. */
export function cacheLines({ stderr }: CliResult): string[] {
  const step = /^\[cache\] (?!(?:warning|error): )(.*)$/;
  return stderr.split('\n').flatMap((line) => step.exec(line)?.[1] ?? []);
}

/** One comparison that shows everything when it fails. */
export function expectExit(result: CliResult, code: number): CliResult {
  expect({
    code: result.code,
    signal: result.signal,
    ...(result.code === code ? {} : { output: result.stdout + result.stderr }),
  }).toEqual({
    code,
    signal: null,
  });
  return result;
}

const run = promisify(execFile);

/** A program that is not under test; its stdout. @throws Error with its stderr */
export async function tool(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: Uint8Array } = {},
): Promise<string> {
  const { input, ...rest } = options;
  const promise = run(file, args, { maxBuffer: 64 * 1024 * 1024, ...rest });
  promise.child.stdin?.on('error', () => undefined).end(input ?? '');
  return (await promise).stdout;
}

/** A project that the npm recipe verifies, made without npm: one package and both lockfiles. */
export function makeNpmProject(dir: string): void {
  const packages = { 'node_modules/one': { version: '1.0.0' } };
  const lock = { name: 'app', version: '1.0.0', lockfileVersion: 3, requires: true };
  const root = { name: 'app', version: '1.0.0', dependencies: { one: '1.0.0' } };
  writeFiles(dir, {
    'package.json': JSON.stringify(root),
    'package-lock.json': JSON.stringify({ ...lock, packages: { '': root, ...packages } }),
    'node_modules/one/package.json': JSON.stringify({ name: 'one', version: '1.0.0' }),
    'node_modules/one/index.js': 'module.exports = 1;\n',
    // Last: npm takes one that is older than the packages for outdated.
    'node_modules/.package-lock.json': JSON.stringify({ ...lock, packages }),
  });
}
