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

/**
 * What packing and unpacking import when they begin becomes one file: each file costs a start 0.7 ms, and code that several of them
 * share with the command line would be a file of its own for each set that shares it.
 */
const togetherFiles = [
  ...['cpus', 'list', 'pack', 'seal', 'unpack', 'format/container'].map((name) => `archive/${name}.ts`),
  ...['receipt', 'rejected', 'staging'].map((name) => `workspace/${name}.ts`),
];
const together = {
  name: 'together',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\.\/(archive|workspace)\// }, ({ kind, path }) =>
      kind === 'dynamic-import' && togetherFiles.includes(path.slice('../'.length))
        ? { path: 'together', namespace: 'together' }
        : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'together' }, () => ({
      contents: togetherFiles.map((file) => `export * from './src/${file}';`).join('\n'),
      resolveDir: root.pathname,
    }));
  },
};

const common = {
  absWorkingDir: root.pathname,
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  mainFields: ['module', 'main'],
  minify: true,
  keepNames: true,
  legalComments: 'linked',
  logLevel: 'warning',
};

await rm(new URL('dist/', root), { recursive: true, force: true });
await build({
  ...common,
  entryPoints: { cli: 'src/cli.ts' },
  splitting: true,
  define: { SANDBOX_CACHE_VERSION: JSON.stringify(version) },
  // CommonJS dependencies call require() for built-ins, and nothing else; an ES module does not have it.
  banner: { js: 'const require=process.getBuiltinModule;' },
  plugins: [withoutChildProcess, together],
});
await build({ ...common, entryPoints: { worker: 'src/archive/worker.ts' } });

// Without a single import: nothing that the module does can reach its host.
const options = [
  ['index.ts', '--baseDir', new URL('src/archive/deflate/assembly/', root).pathname],
  ['--outFile', new URL('dist/deflate.wasm', root).pathname, '--runtime', 'stub', '--use', 'abort='],
  ['-O3', '--noAssert', '--enable', 'simd', '--enable', 'bulk-memory'],
];
const { error, stderr } = await compile(options.flat());
if (error !== null) throw new Error(`${error.message}\n${stderr}`);
