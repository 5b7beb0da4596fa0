import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { type Config, loadConfig } from '../../src/config/config.ts';
import type { S3Config } from '../../src/config/s3.ts';
import { CacheError } from '../../src/errors.ts';

type Environment = Record<string, string>;

export interface Project {
  /** Its directory, which each test finds empty. */
  project(): string;
  /** @param file the text of `.env.claude-sandbox` */
  load(env?: Environment, file?: string, mode?: number): Config;
  /** With a bucket. */
  s3(env: Environment, file?: string): S3Config;
  /** What `load` throws, with a bucket. */
  refusal(env: Environment, file?: string): CacheError;
}

export function useProject(): Project {
  let project = '';
  beforeEach(() => void (project = mkdtempSync(join(tmpdir(), 'sandbox-cache-config-'))));
  afterEach(() => rmSync(project, { recursive: true, force: true }));

  function load(env: Environment = {}, file?: string, mode = 0o600): Config {
    if (file !== undefined) {
      // One that may not be written cannot be written anew.
      rmSync(join(project, '.env.claude-sandbox'), { force: true });
      writeFileSync(join(project, '.env.claude-sandbox'), file);
      chmodSync(join(project, '.env.claude-sandbox'), mode);
    }
    return loadConfig({ project }, env);
  }
  const withBucket = (env: Environment): Environment => ({ CACHE_S3_BUCKET: 'my-bucket', ...env });
  return {
    project: () => project,
    load,
    s3(env, file) {
      const { store } = load(withBucket(env), file);
      if (store.type !== 's3') throw new Error(`the store is ${store.type}`);
      return store.s3;
    },
    refusal(env, file) {
      try {
        load(withBucket(env), file);
      } catch (error) {
        if (error instanceof CacheError) return error;
        throw error;
      }
      throw new Error('it was accepted');
    },
  };
}
