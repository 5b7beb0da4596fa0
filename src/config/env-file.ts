import { readFileSync, statSync } from 'node:fs';
import { systemCode } from '../errors.ts';
import { invalid, type Variables, withoutEmpty } from './values.ts';

export const ENV_FILE = '.env.claude-sandbox';

export function readEnvFile(path: string): {
  values: Variables;
  warnings: readonly { message: string; hint: string }[];
} {
  let text: string;
  let mode: number;
  try {
    text = readFileSync(path, 'utf8');
    mode = statSync(path).mode;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR')
      return { values: {}, warnings: [] };
    throw invalid(
      `${path} cannot be read (${systemCode(error) ?? String(error)})`,
      'Make it readable, or remove it.',
      error,
    );
  }
  // Not imported above, where it would cost every start half a millisecond. Node 20's parser takes the comment line after an empty value for a name.
  const pairs = Object.entries(process.getBuiltinModule('node:util').parseEnv(text)).filter(([name]) =>
    /^[A-Za-z_]\w*$/.test(name),
  );
  const values = withoutEmpty(Object.fromEntries(pairs));
  const holdsSecret = Object.keys(values).some((name) => /SECRET|TOKEN|PASSWORD|SIGNING_KEY/.test(name));
  const exposed = holdsSecret && (mode & 0o077) !== 0;
  return {
    values,
    warnings: exposed
      ? [{ message: `${ENV_FILE} holds secrets and others may read it`, hint: `chmod 600 ${path}` }]
      : [],
  };
}
