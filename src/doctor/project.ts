/** The project: its recipes, whether their entries are stored, and whether what is installed is whole. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CacheError } from '../errors.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import { choose } from '../session/choose.ts';
import { withDeadline } from '../session/deadline.ts';
import { projectOf } from '../session/hold.ts';
import { identify, type Subject } from '../session/identify.ts';
import { signedSaving } from '../session/saving-time.ts';
import { whyOff, type Session } from '../session/session.ts';
import { checker } from '../session/signing.ts';
import { verify } from '../session/verify.ts';
import { formatBytes } from '../text/format-bytes.ts';
import { lookForEntry } from './entry.ts';
import { failed } from './failed.ts';
import { type Finding, findingsOf } from './finding.ts';
import { ask, pathWord } from './mend.ts';
import type { Patient } from './patient.ts';

const of = findingsOf('project');

export async function checkProject({ session }: Patient, found: readonly Finding[]): Promise<Finding[]> {
  if (session === undefined) return [];
  const recipes = choose(session, [], {});
  if (recipes.length === 0) {
    const fact = `No lockfile is found in ${session.config.projectDir}: name one with --lockfile and --path, or go to another directory`;
    return [{ ...of('lockfile', 'warning'), fact }];
  }
  // If the store did not answer before, it is not asked again for each recipe.
  const hasStore =
    session.config.store.type !== 'off' &&
    !found.some(({ section, mark }) => section === 'connection' && mark === 'failure');
  const findings: Finding[] = [];
  for (const recipe of recipes) findings.push(...(await checkRecipe(session, recipe, hasStore)));
  return findings;
}

async function checkRecipe(session: Session, recipe: Recipe, hasStore: boolean): Promise<Finding[]> {
  const { name } = recipe;
  const project = projectOf(session, recipe);
  const found: Finding[] = [{ ...of(`${name}-lockfile`, 'ok'), fact: `${name}: ${project.lockfile}` }];
  const elsewhere = recipe.lookElsewhere?.(project);
  if (elsewhere !== undefined) {
    const { reason: fact, fix: mend } = elsewhere;
    found.push({ ...of(`${name}-elsewhere`, 'failure'), fact, mend });
  }
  const advice = recipe.advice?.(project);
  if (advice !== undefined)
    found.push({ ...of(`${name}-lockfile-lacks`, 'warning'), fact: advice.message, mend: advice.fix });
  try {
    const subject = await identify(session, recipe);
    if (subject === undefined) return found;
    found.push(...(await tree(session, subject)));
    return hasStore ? [...found, await entry(session, subject)] : found;
  } catch (error) {
    if (!(error instanceof CacheError) || session.signal.aborted) throw error;
    const about = failed('project', error);
    return [...found, { ...about, id: `${name}-${about.id}`, fact: `${name}: ${about.fact}` }];
  }
}

async function entry(session: Session, subject: Subject): Promise<Finding> {
  const { config } = session;
  const { recipe } = subject;
  const look = await lookForEntry(session, subject);
  if (look.entry === undefined) {
    const mend = whyOff(config, 'write') === undefined ? { mend: ensure(session, recipe) } : {};
    const fact = `${recipe.name}: nothing is stored yet under ${look.subject.key}`;
    return { ...of(`${recipe.name}-entry`, 'warning'), fact, ...mend };
  }
  const { metadata, size } = look.entry;
  const { key: at } = look.subject;
  const about = { recipe: recipe.name, runtime: look.subject.runtime, hash: subject.hash };
  const check = await checker(config);
  if (check !== undefined && (await signedSaving(metadata, about, check)) === undefined) {
    return {
      ...of(`${recipe.name}-signature`, 'failure'),
      fact: `${at} is not signed by the key that CACHE_VERIFY_KEY belongs to, so it is refused`,
      mend: ask('CACHE_VERIFY_KEY'),
    };
  }
  const fact = `${recipe.name}: ${at} is stored (${formatBytes(size)})`;
  return { ...of(`${recipe.name}-entry`, 'ok'), fact };
}

async function tree(session: Session, subject: Subject): Promise<Finding[]> {
  const { recipe, project } = subject;
  if (!existsSync(join(project.dir, recipe.mainTarget))) return [];
  const verdict = await withDeadline(session, `Verifying ${recipe.name}`, (signal) =>
    verify(subject, signal),
  );
  const id = `${recipe.name}-tree`;
  if (verdict.ok) return [{ ...of(id, 'ok'), fact: `${recipe.name}: ${recipe.mainTarget} is whole` }];
  return [{ ...of(id, 'warning'), fact: `${recipe.name}: ${verdict.reason}`, mend: ensure(session, recipe) }];
}

function ensure({ config }: Session, { name }: Recipe): string {
  const there = config.projectDir === process.cwd() ? '' : ` -C ${pathWord(config.projectDir)}`;
  return `sandbox-cache${there} ensure ${name}`;
}
