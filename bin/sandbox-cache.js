#!/usr/bin/env node
'use strict';
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const cli = join(__dirname, '../dist/cli.cjs');
if (existsSync(cli)) {
  // Node 22 and later keep the compiled code between runs: a third of the start-up. Others need not load the module for it.
  if (parseInt(process.versions.node, 10) >= 22) require('node:module').enableCompileCache?.();
  require(cli);
} else {
  process.stderr.write('[cache] error: sandbox-cache is not built. Run npm run build in its directory.\n');
  process.exitCode = 2;
}
