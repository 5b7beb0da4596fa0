/** Who runs the tests. Some need root's rights, some an ordinary user's lack of them: the gate runs as both. */
import { readFileSync } from 'node:fs';

/** In the first user namespace, with every capability: what `id -u` says in a container is not enough. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0 && !/^CapEff:\t0*$/m.test(readFileSync('/proc/self/status', 'utf8'));
}
