import { CacheError } from '../errors.ts';
import { failed } from './failed.ts';
import type { Finding, Section } from './finding.ts';
import type { Check, Patient } from './patient.ts';

/** The parts of the examination, in the order of the report. Each is loaded when its turn comes. */
const CHECKS: readonly { section: Section; load: () => Promise<Check> }[] = [
  { section: 'settings', load: async () => (await import('./settings.ts')).checkSettings },
  { section: 'settings', load: async () => (await import('./signing.ts')).checkSigning },
  { section: 'files', load: async () => (await import('./files.ts')).checkFiles },
  { section: 'credentials', load: async () => (await import('./credentials.ts')).checkCredentials },
  { section: 'connection', load: async () => (await import('./connection.ts')).checkConnection },
  { section: 'project', load: async () => (await import('./project.ts')).checkProject },
  { section: 'machine', load: async () => (await import('./machine.ts')).checkMachine },
  { section: 'machine', load: async () => (await import('./disk.ts')).checkDisk },
];

/**
 * Examines everything. A part that fails becomes a finding, so that it does not hide the others.
 * @throws the signal's reason
 */
export async function examine(patient: Patient): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { section, load } of CHECKS) {
    const check = await load();
    try {
      findings.push(...(await check(patient, findings)));
    } catch (error) {
      patient.signal.throwIfAborted();
      if (!(error instanceof CacheError)) throw error;
      findings.push(failed(section, error));
    }
  }
  return findings;
}
