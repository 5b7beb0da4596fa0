/** Asks the person who typed the command. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/**
 * Asks a question; `y` and `yes` mean agreement.
 * @returns undefined if there is no terminal to ask at
 * @throws the signal's reason
 */
export async function askPerson(question: string, signal: AbortSignal): Promise<boolean | undefined> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY || !stderr.isTTY) return undefined;
  stderr.write(`${question} [y/N] `);
  // The terminal keeps its line mode, so that Ctrl-C still sends a signal.
  const lines = createInterface({ input: stdin, terminal: false });
  const interrupt = (): void => lines.close();
  signal.addEventListener('abort', interrupt, { once: true });
  try {
    const answer = await Promise.race([
      once(lines, 'line').then(([line]) => String(line)),
      // The end of the input (Ctrl-D) does not mean agreement.
      once(lines, 'close').then(() => ''),
    ]);
    signal.throwIfAborted();
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    signal.removeEventListener('abort', interrupt);
    lines.close();
  }
}
