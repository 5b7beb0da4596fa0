/** The files that `setup --env-file` writes in the project. */
import { appendFileSync, chmodSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { ENV_FILE } from '../config/env-file.ts';
import { CacheError, reasonOf, systemCode } from '../errors.ts';
import { readSmallText } from '../files/read-small-file.ts';
import type { Session } from '../session/session.ts';

/** Links are not followed, because the checkout may be somebody else's work. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

/**
 * Adds the names that `.env.claude-sandbox` lacks, and never changes one that is there. Credentials are not
 * among them: they stay where they are.
 * @returns what was done, as a sentence
 * @throws CacheError TARGET_UNWRITABLE
 */
export function writeEnvFile(
  session: Session,
  { bucket, region }: { bucket: string; region: string | undefined },
): string {
  const { projectDir, prefix, envFile } = session.config;
  const values: Record<string, string | undefined> = {
    CACHE_S3_BUCKET: bucket,
    CACHE_S3_PREFIX: prefix,
    AWS_REGION: region,
  };
  const path = join(projectDir, ENV_FILE);
  const lines: string[] = [];
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const present = envFile.values[name];
    if (present === undefined) lines.push(`${name}=${assigned(value)}`);
    else if (present !== value)
      session.emit({
        type: 'warning',
        message: `${ENV_FILE} line ${envFile.lines[name]} keeps another ${name} than the environment`,
        hint: 'Change it by hand if it is not meant.',
      });
  }
  append(path, lines, 0o600);
  guard(() => chmodSync(path, 0o600), path);
  const ignored = ignore(projectDir);
  const wrote =
    lines.length === 0 ? `${ENV_FILE} has all of it` : `${ENV_FILE} written, for you alone to read`;
  return `${wrote}${ignored ? '; .gitignore names it now' : ''}`;
}

/** @returns whether .gitignore had to be changed */
function ignore(projectDir: string): boolean {
  const path = join(projectDir, '.gitignore');
  if (!existsSync(join(projectDir, '.git')) && !existsSync(path)) return false;
  const lines = textOf(path).split(/\r?\n/);
  if (lines.some((line) => [ENV_FILE, `/${ENV_FILE}`, '.env*', '.env.*'].includes(line.trim()))) return false;
  append(path, [ENV_FILE], 0o644);
  return true;
}

function append(path: string, lines: readonly string[], mode: number): void {
  const before = textOf(path);
  const text = lines.map((line) => `${line}\n`).join('');
  const gap = before === '' || before.endsWith('\n') ? '' : '\n';
  if (text !== '')
    guard(() => appendFileSync(path, gap + text, { flag: FLAGS as unknown as string, mode }), path);
}

function textOf(path: string): string {
  return guard(() => {
    try {
      return readSmallText(path, { maxBytes: 1024 * 1024, followLinks: false });
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return '';
      throw error;
    }
  }, path);
}

function guard<T>(work: () => T, path: string): T {
  try {
    return work();
  } catch (cause) {
    throw new CacheError('TARGET_UNWRITABLE', `${path} cannot be written (${reasonOf(cause)})`, {
      hint: 'The bucket is set up. Write CACHE_S3_BUCKET into the file by hand.',
      cause,
    });
  }
}

/** A value as Compose reads it: in single quotes if any character could have a special meaning. */
function assigned(value: string): string {
  return /^[\w./-]+$/.test(value) ? value : `'${value.replace(/['\\]/g, String.raw`\$&`)}'`;
}
