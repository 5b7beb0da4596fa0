/**
 * How the worker is bundled, beside the wasm that it reads. Not as an ES module: loading those makes a thread 7 ms later.
 * @type {import('esbuild').BuildOptions}
 */
export const workerBundle = {
  outExtension: { '.js': '.cjs' },
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  define: { 'import.meta.url': 'workerUrl' },
  banner: { js: "'use strict';const workerUrl=require('node:url').pathToFileURL(__filename).href;" },
};
