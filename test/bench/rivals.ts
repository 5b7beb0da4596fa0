/** Archives as other programs make and open them. `$archive`, `$dir` and `$roots` are the shell's own variables. */
import type { Tool } from './machine.ts';

export interface Rival {
  id: string;
  /** The command, as a table shows it. */
  label: string;
  needs: readonly Tool[];
  script: string;
}

export interface RivalPacker extends Rival {
  extension: string;
}

export interface RivalUnpacker extends Rival {
  /** The packer whose archive it opens. */
  from: string;
}

/** Run in the project directory. */
export const PACKERS: readonly RivalPacker[] = [
  {
    id: 'tar-gzip',
    label: '`tar -czf`',
    needs: ['tar', 'gzip'],
    extension: '.tar.gz',
    script: 'tar -czf "$archive" $roots',
  },
  {
    id: 'node-tar',
    label: 'node-tar `c({gzip})`',
    needs: [],
    extension: '.tar.gz',
    script: '"$node" "$nodeTar" c "$archive" . $roots',
  },
  {
    id: 'bsdtar',
    label: '`bsdtar -czf`',
    needs: ['bsdtar'],
    extension: '.tar.gz',
    script: 'bsdtar -czf "$archive" $roots',
  },
  {
    id: 'pigz',
    label: '`tar -c \\| pigz`',
    needs: ['tar', 'pigz'],
    extension: '.tar.gz',
    script: 'tar -cf - $roots | pigz > "$archive"',
  },
  {
    id: 'zstd',
    label: '`tar -c \\| zstd -T0`',
    needs: ['tar', 'zstd'],
    extension: '.tar.zst',
    script: 'tar -cf - $roots | zstd -q -T0 -o "$archive"',
  },
  {
    id: 'tar-plain',
    label: '`tar -cf`',
    needs: ['tar'],
    extension: '.tar',
    script: 'tar -cf "$archive" $roots',
  },
];

/** Run in a new empty directory. */
export const UNPACKERS: readonly RivalUnpacker[] = [
  {
    id: 'tar-gzip',
    label: '`tar -xzf`',
    needs: ['tar', 'gzip'],
    from: 'tar-gzip',
    script: 'tar -xzf "$archive"',
  },
  {
    id: 'node-tar',
    label: 'node-tar `x`',
    needs: [],
    from: 'node-tar',
    script: '"$node" "$nodeTar" x "$archive" .',
  },
  {
    id: 'bsdtar',
    label: '`bsdtar -xzf`',
    needs: ['bsdtar'],
    from: 'bsdtar',
    script: 'bsdtar -xzf "$archive"',
  },
  {
    id: 'pigz',
    label: '`pigz -dc \\| tar -x`',
    needs: ['tar', 'pigz'],
    from: 'pigz',
    script: 'pigz -dc "$archive" | tar -xf -',
  },
  {
    id: 'zstd',
    label: '`zstd -dc \\| tar -x`',
    needs: ['tar', 'zstd'],
    from: 'zstd',
    script: 'zstd -q -dc "$archive" | tar -xf -',
  },
  { id: 'tar-plain', label: '`tar -xf`', needs: ['tar'], from: 'tar-plain', script: 'tar -xf "$archive"' },
];
