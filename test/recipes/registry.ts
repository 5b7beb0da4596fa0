import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Header } from 'tar';

/** A package as its author wrote it. `files` are beside package.json. */
export interface Published {
  manifest: { name: string; version: string; [field: string]: unknown };
  files?: Record<string, string>;
}

export interface Registry {
  /** With a slash at the end. */
  url: string;
  close(): Promise<void>;
}

/** An npm registry that holds these packages: real packuments, real tarballs, real integrity, no network. */
export async function startRegistry(packages: readonly Published[]): Promise<Registry> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '').slice(1);
    const tarball = packages.find((published) => path === tarballPath(published));
    const named = packages.filter(({ manifest }) => manifest.name === path);
    if (tarball !== undefined) response.end(packTarball(tarball));
    else if (named.length > 0) response.end(JSON.stringify(packument(named, registryUrl())));
    else response.writeHead(404).end('{}');
  });
  const registryUrl = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: registryUrl(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A gzipped tar with everything under `package/`, as `npm pack` makes it. */
export function packTarball({ manifest, files = {} }: Published): Buffer {
  const all = { 'package.json': JSON.stringify(manifest), ...files };
  const blocks = Object.entries(all).flatMap(([path, text]) => {
    const content = Buffer.from(text);
    const block = Buffer.alloc(512);
    new Header({
      path: `package/${path}`,
      mode: 0o755,
      size: content.length,
      type: 'File',
      mtime: new Date(0),
    }).encode(block);
    return [block, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

function packument(versions: readonly Published[], url: string): object {
  return {
    name: versions[0]?.manifest.name,
    'dist-tags': { latest: versions.at(-1)?.manifest.version },
    versions: Object.fromEntries(
      versions.map((published) => {
        const integrity = `sha512-${createHash('sha512').update(packTarball(published)).digest('base64')}`;
        const dist = { tarball: url + tarballPath(published), integrity };
        const { scripts } = published.manifest as { scripts?: object };
        return [
          published.manifest.version,
          { ...published.manifest, dist, ...(scripts === undefined ? {} : { hasInstallScript: true }) },
        ];
      }),
    ),
  };
}

function tarballPath({ manifest: { name, version } }: Published): string {
  return `${name}/-/${name.replace(/^.*\//, '')}-${version}.tgz`;
}
