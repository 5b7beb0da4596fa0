/** The container of each compression. */
import type { Compression } from '../types.ts';
import { gzipContainer } from './gzip.ts';
import { zstdContainer } from './zstd.ts';
import { plainContainer } from './plain.ts';
import type { Container } from './container.ts';

export function containerFor(compression: Compression): Container {
  switch (compression) {
    case 'gzip':
      return gzipContainer();
    case 'zstd':
      return zstdContainer();
    case 'none':
      return plainContainer();
  }
}
