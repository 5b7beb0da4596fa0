/**
 * A file system in memory that takes names which differ only in case or Unicode form for one, as those of macOS and Windows do:
 * `node folding-process.mjs <mount point>`, as root. Speaks the FUSE protocol (linux/fuse.h, 7.31) to /dev/fuse; prints `ready` once
 * it is mounted, ends when it is unmounted. Only what unpacking and looking at the result take.
 */
import { spawn } from 'node:child_process';
import { openSync, read, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { promisify } from 'node:util';

interface Node {
  id: bigint;
  /** With type bits. */
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  mtimeS: bigint;
  mtimeNs: number;
  /** Of a file; of a symlink, where it leads. */
  data: Buffer;
  /** Of a directory, by folded name. */
  children: Map<string, { name: Buffer; node: Node }>;
}

interface Request {
  op: number;
  node: Node;
  uid: number;
  gid: number;
  body: Buffer;
}

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const HEADER_IN = 40;
const HEADER_OUT = 16;
const MAX_WRITE = 128 * 1024;
const { ENOENT, EEXIST, ENOTEMPTY, ENOTDIR, ENOSYS, EINVAL } = constants.errno;

class Failure extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

const nodes = new Map<bigint, Node>();
let lastId = 0n;
makeNode(S_IFDIR | 0o755, { uid: 0, gid: 0 });

/** `ﬃ` and `ffi`, `straße` and `STRASSE`, `é` in one code point and in two: the most that any file system folds. */
function fold(name: Buffer): string {
  return name.toString('utf8').normalize('NFKD').toUpperCase().toLowerCase().normalize('NFKD');
}

function makeNode(mode: number, { uid, gid }: Pick<Request, 'uid' | 'gid'>): Node {
  const now = BigInt(Math.floor(Date.now() / 1000));
  const node = { id: ++lastId, mode, uid, gid, nlink: 1, mtimeS: now, mtimeNs: 0 };
  const whole = { ...node, data: Buffer.alloc(0), children: new Map() };
  nodes.set(whole.id, whole);
  return whole;
}

function add(dir: Node, name: Buffer, node: Node): Node {
  if ((dir.mode & S_IFDIR) === 0) throw new Failure(ENOTDIR);
  if (dir.children.has(fold(name))) throw new Failure(EEXIST);
  dir.children.set(fold(name), { name: Buffer.from(name), node });
  return node;
}

function find(dir: Node, name: Buffer): Node {
  const found = dir.children.get(fold(name));
  if (found === undefined) throw new Failure(ENOENT);
  return found.node;
}

function move(from: Node, to: Node, [name, newName]: readonly Buffer[]): Buffer {
  const node = find(from, name!);
  from.children.delete(fold(name!));
  to.children.set(fold(newName!), { name: Buffer.from(newName!), node });
  return EMPTY;
}

function names(body: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const end = body.indexOf(0, at);
    found.push(body.subarray(at, end));
    at = end + 1;
  }
  return found;
}

const EMPTY = Buffer.alloc(0);

/** @returns the answer's body; undefined where none is expected. @throws Failure */
function answer({ op, node, uid, gid, body }: Request): Buffer | undefined {
  const owner = { uid, gid };
  switch (op) {
    case 1: // LOOKUP
      return entryOut(find(node, names(body)[0]!));
    case 2: // FORGET
    case 36: // INTERRUPT
    case 42: // BATCH_FORGET
      return undefined;
    case 3: // GETATTR
      return attrOut(node);
    case 4: // SETATTR
      return attrOut(change(node, body));
    case 5: // READLINK
      return node.data;
    case 6: {
      const [name, to] = names(body);
      const link = add(node, name!, makeNode(S_IFLNK | 0o777, owner));
      link.data = Buffer.from(to!);
      return entryOut(link);
    }
    case 9: // MKDIR
      return entryOut(
        add(node, names(body.subarray(8))[0]!, makeNode(S_IFDIR | body.readUInt32LE(0), owner)),
      );
    case 10: // UNLINK
    case 11: {
      const [name] = names(body);
      if (find(node, name!).children.size > 0) throw new Failure(ENOTEMPTY);
      node.children.delete(fold(name!));
      return EMPTY;
    }
    case 12: // RENAME
      return move(node, nodes.get(body.readBigUInt64LE(0))!, names(body.subarray(8)));
    case 45: // RENAME2
      return move(node, nodes.get(body.readBigUInt64LE(0))!, names(body.subarray(16)));
    case 13: {
      const linked = nodes.get(body.readBigUInt64LE(0))!;
      add(node, names(body.subarray(8))[0]!, linked);
      linked.nlink++;
      return entryOut(linked);
    }
    case 14: // OPEN
    case 27: // OPENDIR
      return Buffer.alloc(16);
    case 15: {
      const offset = Number(body.readBigUInt64LE(8));
      return node.data.subarray(offset, offset + body.readUInt32LE(16));
    }
    case 16:
      return write(node, Number(body.readBigUInt64LE(8)), body.subarray(40, 40 + body.readUInt32LE(16)));
    case 17: {
      const out = Buffer.alloc(80);
      for (const at of [0, 8, 16, 24, 32]) out.writeBigUInt64LE(1_000_000n, at);
      for (const [at, value] of [
        [40, 4096],
        [44, 255],
        [48, 4096],
      ] as const)
        out.writeUInt32LE(value, at);
      return out;
    }
    case 18: // RELEASE
    case 20: // FSYNC
    case 29: // RELEASEDIR
    case 38: // DESTROY
      return EMPTY;
    case 26: {
      const out = Buffer.alloc(64);
      out.writeUInt32LE(7, 0);
      out.writeUInt32LE(31, 4);
      out.writeUInt32LE(1 << 5, 12); // FUSE_BIG_WRITES
      out.writeUInt16LE(12, 16);
      out.writeUInt32LE(MAX_WRITE, 20);
      out.writeUInt32LE(1, 24);
      return out;
    }
    case 28:
      return listing(node, Number(body.readBigUInt64LE(8)), body.readUInt32LE(16));
    case 35: {
      const made = add(
        node,
        names(body.subarray(16))[0]!,
        makeNode(S_IFREG | (body.readUInt32LE(4) & 0o777), owner),
      );
      return Buffer.concat([entryOut(made), Buffer.alloc(16)]);
    }
    // FLUSH among them: the kernel never asks again then. A process that is killed with a file open would wait for the answer.
    default:
      throw new Failure(ENOSYS);
  }
}

function change(node: Node, body: Buffer): Node {
  const valid = body.readUInt32LE(0);
  if (valid & 1) node.mode = (node.mode & ~0o7777) | (body.readUInt32LE(68) & 0o7777);
  if (valid & 2) node.uid = body.readUInt32LE(76);
  if (valid & 4) node.gid = body.readUInt32LE(80);
  if (valid & 8) node.data = Buffer.concat([node.data], Number(body.readBigUInt64LE(16)));
  if (valid & 32 && !(valid & 256)) {
    node.mtimeS = body.readBigUInt64LE(40);
    node.mtimeNs = body.readUInt32LE(60);
  }
  return node;
}

function write(node: Node, offset: number, data: Buffer): Buffer {
  if (node.data.length < offset + data.length) node.data = Buffer.concat([node.data], offset + data.length);
  node.data.set(data, offset);
  const out = Buffer.alloc(8);
  out.writeUInt32LE(data.length, 0);
  return out;
}

function listing(dir: Node, from: number, room: number): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  for (const [n, { name, node }] of [...dir.children.values()].entries()) {
    if (n < from) continue;
    const entry = Buffer.alloc((24 + name.length + 7) & ~7);
    if (length + entry.length > room) break;
    entry.writeBigUInt64LE(node.id, 0);
    entry.writeBigUInt64LE(BigInt(n + 1), 8);
    entry.writeUInt32LE(name.length, 16);
    entry.writeUInt32LE(node.mode >> 12, 20);
    entry.set(name, 24);
    parts.push(entry);
    length += entry.length;
  }
  return Buffer.concat(parts);
}

function attributes({ id, mode, uid, gid, nlink, mtimeS, mtimeNs, data }: Node): Buffer {
  const out = Buffer.alloc(88);
  out.writeBigUInt64LE(id, 0);
  out.writeBigUInt64LE(BigInt(data.length), 8);
  for (const at of [24, 32, 40]) out.writeBigUInt64LE(mtimeS, at);
  const numbers = [mtimeNs, mtimeNs, mtimeNs, mode, nlink, uid, gid, 0, 4096];
  numbers.forEach((value, n) => out.writeUInt32LE(value, 48 + 4 * n));
  return out;
}

/** Valid for no time: each spelling of a name is asked for anew. */
function entryOut(node: Node): Buffer {
  const head = Buffer.alloc(40);
  head.writeBigUInt64LE(node.id, 0);
  return Buffer.concat([head, attributes(node)]);
}

function attrOut(node: Node): Buffer {
  return Buffer.concat([Buffer.alloc(16), attributes(node)]);
}

const [point] = process.argv.slice(2);
if (point === undefined) throw new Error('no mount point');
const device = openSync('/dev/fuse', 'r+');
const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other';
const mount = spawn('mount', ['-i', '-t', 'fuse', '-o', options, 'folding', point], {
  stdio: ['ignore', 'inherit', 'inherit', device],
});
mount.on('exit', (status) => {
  if (status !== 0) process.exit(1);
  process.stdout.write('ready\n');
});

// Whoever mounted it is gone. An exit would wait for the read that is under way.
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL')).resume();

const readDevice = promisify(read);
const buffer = Buffer.alloc(MAX_WRITE + 65_536);
for (;;) {
  let length: number;
  try {
    length = (await readDevice(device, buffer, 0, buffer.length, null)).bytesRead;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENODEV') process.exit(0);
    // Not mounted yet; or the request was withdrawn.
    if (code !== 'EPERM' && code !== 'ENOENT' && code !== 'EINTR') throw error;
    await new Promise((resolve) => setTimeout(resolve, 5));
    continue;
  }
  serve(buffer.subarray(0, length));
}

function serve(request: Buffer): void {
  const unique = request.readBigUInt64LE(8);
  let errno = 0;
  let body: Buffer | undefined = EMPTY;
  try {
    const node = nodes.get(request.readBigUInt64LE(16) || 1n);
    if (node === undefined) throw new Failure(EINVAL);
    body = answer({
      op: request.readUInt32LE(4),
      node,
      uid: request.readUInt32LE(24),
      gid: request.readUInt32LE(28),
      body: request.subarray(HEADER_IN),
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    ({ errno } = error);
  }
  if (body === undefined) return;
  const head = Buffer.alloc(HEADER_OUT);
  head.writeUInt32LE(HEADER_OUT + body.length, 0);
  head.writeInt32LE(-errno, 4);
  head.writeBigUInt64LE(unique, 8);
  writeSync(device, Buffer.concat([head, body]));
}
