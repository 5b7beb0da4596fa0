/** The worker of the archive, from its sources: what src/archive/workers/pool.ts starts when it runs from sources itself. */
import { buildSync } from 'esbuild';

const { outputFiles } = buildSync({
  absWorkingDir: new URL('..', import.meta.url).pathname,
  entryPoints: ['src/archive/worker.ts'],
  write: false,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // What the bundle loads stands in dist/.
  define: { 'import.meta.url': JSON.stringify(new URL('../dist/worker.cjs', import.meta.url).href) },
});
await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
