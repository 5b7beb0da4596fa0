import type { CacheError } from '../errors.ts';
import type { Finding, Section } from './finding.ts';

/** Turns an error into a finding. The hint is a sentence, so it becomes part of the fact. */
export function failed(section: Section, error: CacheError): Finding {
  const hint = error.hint === undefined ? '' : `. ${error.hint}`;
  return {
    id: `${section}-${error.code.toLowerCase().replaceAll('_', '-')}`,
    section,
    mark: 'failure',
    fact: `${error.message.replace(/\.$/, '')}${hint} [${error.code}]`,
  };
}
