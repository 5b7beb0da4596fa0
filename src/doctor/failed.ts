import type { CacheError } from '../errors.ts';
import type { Finding, Section } from './finding.ts';

/** What an error says, as a finding. Its hint is a sentence, so it belongs to the fact. */
export function failed(section: Section, error: CacheError): Finding {
  const hint = error.hint === undefined ? '' : `. ${error.hint}`;
  return {
    id: `${section}-${error.code.toLowerCase().replaceAll('_', '-')}`,
    section,
    mark: 'failure',
    fact: `${error.message.replace(/\.$/, '')}${hint} [${error.code}]`,
  };
}
