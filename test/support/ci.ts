/** Whether this is a run that must not skip: there, what is missing is a failure and not a note. */
export function isCi(env: NodeJS.ProcessEnv): boolean {
  return env['CI'] === 'true' || env['CI'] === '1';
}
