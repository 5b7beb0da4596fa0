/**
 * Bundles the CLI and its worker into dist/, dependencies included, and compiles the codec that they load: the installed package
 * runs without a further install.
 * Splitting keeps what a command does not need (the SDK above all) out of its start-up.
 */
import { rm, readFile } from 'node:fs/promises';
import { main as compile } from 'assemblyscript/asc';
import { build } from 'esbuild';

const root = new URL('../../', import.meta.url);
const { version } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'));

/**
 * Commander loads child_process for subcommands that are programs of their own, which we have none of: 4 ms of every
 * start.
 */
const withoutChildProcess = {
  name: 'without-child-process',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:child_process$/ }, ({ importer, path }) =>
      /[/\\]node_modules[/\\]commander[/\\]/.test(importer)
        ? { path, namespace: 'without-child-process' }
        : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'without-child-process' }, () => ({
      contents: 'module.exports = {}',
      loader: 'js',
    }));
  },
};

await rm(new URL('dist/', root), { recursive: true, force: true });
await build({
  absWorkingDir: root.pathname,
  entryPoints: { cli: 'src/cli.ts', worker: 'src/archive/worker.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  mainFields: ['module', 'main'],
  minify: true,
  keepNames: true,
  legalComments: 'linked',
  define: { SANDBOX_CACHE_VERSION: JSON.stringify(version) },
  // CommonJS dependencies call require() for built-ins, which an ES module does not have.
  banner: { js: "import{createRequire as $cr}from'node:module';const require=$cr(import.meta.url);" },
  plugins: [withoutChildProcess],
  logLevel: 'warning',
});

// Without a single import: nothing that the module does can reach its host.
const options = [
  ['index.ts', '--baseDir', new URL('src/archive/deflate/assembly/', root).pathname],
  ['--outFile', new URL('dist/deflate.wasm', root).pathname, '--runtime', 'stub', '--use', 'abort='],
  ['-O3', '--noAssert', '--enable', 'simd', '--enable', 'bulk-memory'],
];
const { error, stderr } = await compile(options.flat());
if (error !== null) throw new Error(`${error.message}\n${stderr}`);
