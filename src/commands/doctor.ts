import { examine } from '../doctor/examine.ts';
import { exitCodeOf, type Finding } from '../doctor/finding.ts';
import type { Patient } from '../doctor/patient.ts';

export interface Diagnosis {
  findings: Finding[];
  /** 3 when caching would fail, else 0. */
  exitCode: 0 | 3;
}

/** Says what is well and what is not, from the settings to the machine. Changes nothing. */
export async function doctor(patient: Patient): Promise<Diagnosis> {
  const findings = await examine(patient);
  return { findings, exitCode: exitCodeOf(findings) };
}
