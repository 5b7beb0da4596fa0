/**
 * Opens the store that a ticket gives access to. If the ticket does not have an entry, says what it was made
 * for.
 */
import type { Emit } from '../events.ts';
import { parseKey } from '../key.ts';
import type { EntryInfo, Store } from '../store/store.ts';
import { createTicketStore } from '../store/ticket/ticket-store.ts';
import type { Ticket, TicketEntry } from '../ticket.ts';

/** @param connect opens S3 with these signed URLs, by key */
export async function openTicket(
  ticket: Ticket,
  emit: Emit,
  connect: (urls: ReadonlyMap<string, string>) => Promise<Store>,
): Promise<Store> {
  const { entries, expiresMs } = ticket;
  return createTicketStore({
    s3: await connect(new Map(entries.map(({ key, url }) => [key, url]))),
    expiresMs,
    entries: new Map(entries.map((entry) => [entry.key, infoOf(entry)])),
    emit,
    onUnknownKey: (key) => {
      const warning = whyUnknown(ticket, key);
      if (warning !== undefined) emit({ type: 'warning', ...warning });
    },
  });
}

function infoOf({ key, found }: TicketEntry): EntryInfo | undefined {
  if (found === undefined) return undefined;
  const { size, etag, modifiedMs } = found;
  return { key, size, etag, modified: modifiedMs === undefined ? undefined : new Date(modifiedMs) };
}

/**
 * The message about a key that the ticket does not have.
 * @returns undefined if the key is another name for an entry that it has
 */
function whyUnknown({ prefix, entries }: Ticket, key: string): { message: string; hint: string } | undefined {
  const wanted = parseKey(key, prefix);
  const held = entries.map((entry) => parseKey(entry.key, prefix)).filter((parsed) => parsed !== undefined);
  if (wanted === undefined) return undefined;
  const same = held.filter(({ recipe, hash }) => recipe === wanted.recipe && hash === wanted.hash);
  const here = same.filter(({ runtime }) => isRuntimeOf(wanted.runtime, runtime));
  if (here.some(({ compression }) => compression === wanted.compression)) return undefined;
  if (here[0] !== undefined) {
    return {
      message: `CACHE_TICKET holds ${wanted.recipe} as ${here[0].compression}, and this machine looks for ${key}`,
      hint: 'Set CACHE_COMPRESSION here to what it was where the entry was saved.',
    };
  }
  const [other] = same;
  if (other !== undefined) {
    return {
      message: `CACHE_TICKET holds ${wanted.recipe} for ${other.runtime ?? 'no runtime'}, and this machine needs ${key}`,
      hint: `Make one for it with: sandbox-cache ticket ${wanted.recipe} --runtime ${wanted.runtime ?? ''}`.trim(),
    };
  }
  const recipes = [...new Set(held.map(({ recipe, hash }) => `${recipe}-${hash}`))].join(', ');
  return {
    message: `CACHE_TICKET is for other lockfiles: it holds ${recipes || 'nothing'}, not ${key}`,
    hint: 'Run sandbox-cache ticket in this checkout, with the same CACHE_COMPRESSION, CACHE_KEY_SALT and other settings of the key.',
  };
}

/** A machine also looks for an entry of its own kind of image, whose name goes behind the runtime. */
function isRuntimeOf(wanted: string | undefined, held: string | undefined): boolean {
  return wanted === held || (wanted ?? '').startsWith(`${held ?? ''}-`);
}
