/**
 * Paths that are not worth storing: patterns of whole paths whose segments may hold `*`, any run of
 * characters but `/`.
 */

/** Whether a path (binary string) is left out; undefined when nothing ever is. */
export type Excluder = ((path: string) => boolean) | undefined;

export function createExcluder(patterns: readonly string[]): Excluder {
  if (patterns.length === 0) return undefined;
  const sources = patterns.map((pattern) => {
    // Patterns are text and paths are bytes, so `é` in a pattern must match its two bytes.
    const binary = Buffer.from(pattern, 'utf8').toString('latin1');
    return binary.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '[^/]*');
  });
  const expression = new RegExp(`^(?:${sources.join('|')})$`, 's');
  return (path) => expression.test(path);
}
