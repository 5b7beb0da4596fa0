#!/usr/bin/env node
import { existsSync } from 'node:fs';

const cli = new URL('../dist/cli.js', import.meta.url);
if (existsSync(cli)) {
  // Node 22 and later keep the compiled code between runs: a third of the start-up. Others need not load the module for it.
  if (parseInt(process.versions.node, 10) >= 22) (await import('node:module')).enableCompileCache?.();
  await import(cli);
} else {
  process.stderr.write('[cache] error: sandbox-cache is not built. Run npm run build in its directory.\n');
  process.exitCode = 2;
}
