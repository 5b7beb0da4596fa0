/**
 * What `.env.claude-sandbox` may decide. The file lies in the project, so it may have come with a repository
 * that somebody else wrote. It must not choose where this machine's credentials go, or what this machine's
 * key signs.
 */
import { realpathSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { ALIASES, endpoint, type S3Config } from './s3.ts';
import { firstSet, placeInFile, type Setting, type Sources } from './sources.ts';
import { boolean, invalid } from './values.ts';

export interface Trusting {
  sources: Sources;
  projectDir: string;
  /** Undefined without a bucket. */
  s3: S3Config | undefined;
  /** Whether there is a store at all. */
  on: boolean;
}

/** @throws CacheError CONFIG_INVALID that names the line, before anything is sent */
export function requireTrust({ sources, projectDir, s3, on }: Trusting): void {
  if (boolean(sources.real, 'CACHE_TRUST_ENV_FILE', false)) return;
  // With a ticket, the ticket's endpoint is used, whatever the file says.
  const ways = s3 === undefined || s3.ticket !== undefined ? [] : [endpoint(sources)];
  if (s3 !== undefined && opensFromElsewhere(sources, s3)) {
    refuseFrom(sources, [...ways, firstSet(sources, ...ALIASES.proxy), firstSet(sources, 'AWS_CA_BUNDLE')], {
      because: `${s3.ticket === undefined ? 'credentials come' : 'CACHE_TICKET comes'} from elsewhere`,
    });
  }
  if (on && signsWithForeignKey(sources, projectDir)) {
    const names = ['CACHE_S3_BUCKET', 'CACHE_S3_PREFIX', 'CACHE_LOCAL_DIR'];
    refuseFrom(sources, [...ways, ...names.map((name) => firstSet(sources, name))], {
      because: 'CACHE_SIGNING_KEY comes from elsewhere',
    });
  }
  if (boolean(sources.file.values, 'CACHE_INSTALL_CREDENTIALS', false)) {
    refuseFrom(sources, [firstSet(sources, 'CACHE_INSTALL_CREDENTIALS')], {
      because: 'the credentials that installers would get are not its own',
    });
  }
}

/** Whether the credentials or the ticket come from somewhere else than the file. */
function opensFromElsewhere(sources: Sources, { ticket, credentials }: S3Config): boolean {
  if (ticket !== undefined) return firstSet(sources, 'CACHE_TICKET')?.from === 'environment';
  return credentials === undefined;
}

function refuseFrom(
  sources: Sources,
  settings: readonly (Setting | undefined)[],
  { because }: { because: string },
): void {
  const found = settings.find((setting) => setting?.from === 'file');
  if (found === undefined) return;
  throw invalid(found.name, `${placeInFile(sources, found.name)} sets ${found.name}, but ${because}`, {
    hint: `Set ${found.name} in the environment, or CACHE_TRUST_ENV_FILE=true there if you trust the file.`,
  });
}

/**
 * Whether the signing key is not the file's own. It may be in the environment, or the file may name a path,
 * and so any private key of this machine whose path can be guessed.
 */
function signsWithForeignKey(sources: Sources, projectDir: string): boolean {
  const key = firstSet(sources, 'CACHE_SIGNING_KEY');
  if (key === undefined) return false;
  if (key.from === 'environment') return true;
  if (key.value.includes('-----BEGIN')) return false;
  const [project, file] = [projectDir, resolve(projectDir, key.value)].map((path) => realpathSync(path));
  return relative(project!, file!).startsWith('..');
}
