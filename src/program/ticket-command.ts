/** `ticket`: made by somebody with credentials, for a machine that should have none. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { MadeTicket } from '../commands/ticket.ts';
import { choose, type RecipeFlags } from '../session/choose.ts';
import type { Document } from '../report/documents.ts';
import { formatBytes } from '../text/format-bytes.ts';
import { examples } from './help-text.ts';
import { collect, recipeOptions } from './recipe-options.ts';
import type { RunAction } from './types.ts';
import { count, duration } from './values.ts';

/** The longest time that S3 accepts for a signed URL. */
const LONGEST_MS = 7 * 86_400_000;
const MOST_BASES = 4;

export function addTicket(program: Command, run: RunAction): void {
  recipeOptions(program.command('ticket'))
    .description('Make CACHE_TICKET: reads of exact entries for a container without credentials')
    .argument('[recipe...]', 'those named, or every one whose lockfile is found')
    .option(
      '--runtime <name>',
      "as keys have it, e.g. linux-x64-node115; default: this machine's (repeatable)",
      collect,
    )
    .option('--key <key>', 'also this entry, as list prints it (repeatable)', collect)
    .addOption(
      new Option('--expires <time>', 'how long it works, 7d at most')
        .argParser(life)
        .default(43_200_000, '12h'),
    )
    .addOption(
      new Option('--bases <n>', 'also the newest older entries of each recipe, 4 at most')
        .argParser(bases)
        .default(0, '0'),
    )
    .addHelpText(
      'after',
      examples([
        ['docker run --env-file <(sandbox-cache ticket) agent', 'for one container'],
        ['export "$(sandbox-cache ticket npm --expires 1h)"', 'for the commands of this shell'],
        ['sandbox-cache ticket bundle --runtime linux-arm64-ruby3.1.0', 'for another kind of machine'],
      ]) + '\nWhoever has the text can read these entries until it expires: treat it as a password.\n',
    )
    .action((names: string[], flags: TicketFlags, command: Command) =>
      run(command, async (session) => {
        const { runtime: runtimes = [], key: keys = [], expires: lifeMs, bases } = flags;
        const { makeTicket } = await import('../commands/ticket.ts');
        // With keys, a ticket can be made outside of any project.
        const isAboutProject = names.length > 0 || keys.length === 0 || runtimes.length > 0;
        const recipes = isAboutProject ? choose(session, names, flags) : [];
        return ticketDocument(await makeTicket(session, recipes, { runtimes, keys, lifeMs, bases }));
      }),
    );
}

function ticketDocument({ text, expiresMs, mayEndSooner, entries }: MadeTicket): Document {
  const expires = new Date(expiresMs).toISOString();
  const sooner = mayEndSooner ? ', or when the temporary credentials end that signed it' : '';
  const lines = entries.map(({ key, found }) =>
    found === undefined ? `${key} (not saved yet)` : `${key} (${formatBytes(found.size)})`,
  );
  return {
    json: {
      ticket: text,
      expires,
      mayEndSooner,
      entries: entries.map(({ key, found }) => ({ key, size: found?.size ?? null })),
    },
    text: `CACHE_TICKET=${text}`,
    aside: [`The ticket works until ${expires}${sooner}. It reads:`, ...lines].join('\n'),
  };
}

function life(text: string): number {
  const value = duration(text);
  if (value >= 1000 && value <= LONGEST_MS) return value;
  throw new InvalidArgumentError('It takes from 1s to 7d, the most that S3 signs for.');
}

function bases(text: string): number {
  const value = count(text);
  if (value <= MOST_BASES) return value;
  throw new InvalidArgumentError(`It takes 0 to ${MOST_BASES}.`);
}

interface TicketFlags extends RecipeFlags {
  runtime?: string[];
  key?: string[];
  expires: number;
  bases: number;
}
