import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { workerBundle } from '../../../.build/worker-bundle.mjs';

export interface Drivers {
  archive: string;
  codec: string;
  floor: string;
  nodeTar: string;
}

/** Bundles the drivers as the published package is bundled, with the worker beside them. */
export async function buildDrivers(outdir: string): Promise<Drivers> {
  await mkdir(outdir, { recursive: true });
  await writeFile(join(outdir, 'package.json'), '{"type":"module"}');
  await build({
    entryPoints: {
      archive: fileURLToPath(new URL('archive.ts', import.meta.url)),
      codec: fileURLToPath(new URL('codec.ts', import.meta.url)),
      floor: fileURLToPath(new URL('floor.ts', import.meta.url)),
      'node-tar': fileURLToPath(new URL('node-tar.mjs', import.meta.url)),
    },
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    mainFields: ['module', 'main'],
    minify: true,
    banner: { js: "import{createRequire as $cr}from'node:module';const require=$cr(import.meta.url);" },
    logLevel: 'warning',
  });
  await build({
    ...workerBundle,
    entryPoints: { worker: fileURLToPath(new URL('../../../src/archive/worker.ts', import.meta.url)) },
    outdir,
    minify: true,
    logLevel: 'warning',
  });
  await copyFile(new URL('../../../dist/archive.wasm', import.meta.url), join(outdir, 'archive.wasm'));
  const driver = (name: string) => join(outdir, `${name}.js`);
  return {
    archive: driver('archive'),
    codec: driver('codec'),
    floor: driver('floor'),
    nodeTar: driver('node-tar'),
  };
}
