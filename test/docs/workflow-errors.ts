/** What GitHub's own parser says of a workflow. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

type Parser = typeof import('@actions/workflow-parser');

let parser: Promise<Parser> | undefined;

/** The parser as one file: its modules import JSON in a way that only bundlers take. */
async function loadParser(): Promise<Parser> {
  const folder = mkdtempSync(join(tmpdir(), 'sandbox-cache-test-'));
  try {
    const outfile = join(folder, 'parser.mjs');
    await build({
      stdin: { contents: "export * from '@actions/workflow-parser';", resolveDir: import.meta.dirname },
      bundle: true,
      platform: 'node',
      format: 'esm',
      // What it carries of CommonJS asks for Node's modules.
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
      outfile,
      logLevel: 'error',
    });
    return (await import(/* @vite-ignore */ pathToFileURL(outfile).href)) as Parser;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param content the text of a workflow file @returns a line for each error */
export async function workflowErrors(content: string): Promise<string[]> {
  const { NoOperationTraceWriter, parseWorkflow } = await (parser ??= loadParser());
  const { context } = parseWorkflow({ name: 'workflow.yml', content }, new NoOperationTraceWriter());
  return context.errors.getErrors().map(({ message }) => message);
}
