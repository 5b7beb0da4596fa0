/**
 * Bundles the CLI and its worker into dist/, dependencies included, and compiles the WebAssembly that they load: the installed package
 * runs without a further install.
 * Splitting keeps what a command does not need (the SDK above all) out of its start-up.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { main as compile } from 'assemblyscript/asc';
import { build, transform } from 'esbuild';
import { workerBundle } from './worker-bundle.mjs';

const root = new URL('../', import.meta.url);
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
 * Each file that a start loads costs it 0.3 ms. So what packing and unpacking import when they begin is one file, and whatever is
 * loaded later takes along all that a start has loaded: esbuild makes a file for each different set of sharers.
 */
const together = [
  ...['format/containers', 'pack/pack', 'read/list', 'signature', 'unpack/unpack', 'workers/cpus'].map(
    (name) => `archive/${name}.ts`,
  ),
  ...['empty', 'hold', 'notes/receipt', 'notes/rejected', 'staging'].map((name) => `workspace/${name}.ts`),
];
/** What every start loads, below src/. */
async function loadedAtStart() {
  const { metafile } = await build({
    ...common,
    entryPoints: { cli: 'src/cli.ts' },
    define,
    metafile: true,
    write: false,
    plugins: [
      {
        name: 'nothing-later',
        setup: ({ onResolve }) =>
          onResolve({ filter: /^\.\.?\// }, ({ kind, path }) =>
            kind === 'dynamic-import' ? { path, external: true } : undefined,
          ),
      },
    ],
  });
  const paths = Object.keys(metafile.inputs).filter(
    (path) => path.startsWith('src/') && path !== 'src/cli.ts',
  );
  return paths.map((path) => path.slice('src/'.length));
}

/** @param {readonly string[]} shared below src/ */
const fewFiles = (shared) => ({
  name: 'few-files',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\.?\// }, ({ kind, path, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined;
      const file = relative(join(root.pathname, 'src'), join(resolveDir, path));
      return { path: together.includes(file) ? together.join() : file, namespace: 'later' };
    });
    onLoad({ filter: /.*/, namespace: 'later' }, ({ path }) => ({
      contents: [
        ...shared.map((file) => `import './${file}';`),
        ...path.split(',').map((file) => `export * from './${file}';`),
      ].join('\n'),
      resolveDir: join(root.pathname, 'src'),
    }));
  },
});

/**
 * The SDK describes every operation of S3 in constants that esbuild keeps, because their keys are computed, although we call a dozen of
 * them: saying that they do nothing lets it drop the rest, 50 KB of what is loaded with the store.
 */
const fewSchemas = {
  name: 'few-schemas',
  setup({ onLoad }) {
    onLoad({ filter: /[/\\]@aws-sdk[/\\]client-s3[/\\].*[/\\]schemas_0\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace(
        /^((?:export )?var \w+\$? = )(\[[\s\S]*?\]);$/gm,
        '$1/* @__PURE__ */ (() => $2)();',
      ),
    }));
  },
};

/**
 * esbuild splits ES modules only, and those are dear to load: 4 ms for the first, 0.7 ms for each more, where a CommonJS module takes
 * 0.3 ms. And to import a module of Node's reads everything that it exports, much of which is loaded when it is read: stdout with the
 * sockets, WebCrypto, and from Node 22 on all of undici for the WebSocket of node:http, which has a WebAssembly memory of its own, for
 * want of which (ulimit -v) the process ended as on a miss. What is required is not read.
 */
async function asCommonJs(text) {
  const { code } = await transform(text, {
    ...smaller,
    format: 'cjs',
    platform: 'node',
    target: common.target,
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': 'here' },
    banner: text.includes('import.meta.url') ? HERE : '',
  });
  return code;
}

const HERE = "const here=require('node:url').pathToFileURL(__filename).href;";

/** Names stay: errors tell them, and to give them back to all functions would take 2 ms of every start. */
const smaller = { minifyWhitespace: true, minifySyntax: true };
const define = { SANDBOX_CACHE_VERSION: JSON.stringify(version) };
const common = {
  absWorkingDir: root.pathname,
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  mainFields: ['module', 'main'],
  ...smaller,
  legalComments: 'linked',
  logLevel: 'warning',
};

await rm(new URL('dist/', root), { recursive: true, force: true });
await mkdir(new URL('dist/', root));
const { outputFiles } = await build({
  ...common,
  entryPoints: { cli: 'src/cli.ts' },
  outExtension: { '.js': '.cjs' },
  splitting: true,
  define,
  write: false,
  plugins: [withoutChildProcess, fewFiles(await loadedAtStart()), fewSchemas],
});
for (const { path, text } of outputFiles)
  await writeFile(path, path.endsWith('.cjs') ? await asCommonJs(text) : text);
await build({
  ...common,
  ...workerBundle,
  entryPoints: { worker: 'src/archive/worker.ts', watchdog: 'src/process/watchdog-thread.ts' },
});

// Without a single import: nothing that the module does can reach its host.
const options = [
  ['index.ts', '--baseDir', new URL('src/archive/wasm/assembly/', root).pathname],
  ['--outFile', new URL('dist/archive.wasm', root).pathname, '--runtime', 'stub', '--use', 'abort='],
  ['-O3', '--noAssert', '--enable', 'simd', '--enable', 'bulk-memory'],
];
const { error, stderr } = await compile(options.flat());
if (error !== null) throw new Error(`${error.message}\n${stderr}`);
