/** Run in a process of its own: moves one large entry up and down, and prints by how many MiB that raised the peak. */
import { createS3Store } from '../../../src/store/s3/s3-store.ts';

const MIB = 1024 * 1024;
const [endpoint = '', accessKeyId = '', secretAccessKey = '', mebibytes = ''] = process.argv.slice(2);
const { signal } = new AbortController();
const store = await createS3Store({
  bucket: 'test-bucket',
  endpoint,
  accelerate: false,
  credentials: { accessKeyId, secretAccessKey },
  stallTimeoutMs: 30_000,
  emit: () => {},
});

async function* body(count: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index += 1) yield Buffer.alloc(MIB, index);
}

async function move(count: number): Promise<number> {
  await store.write('entry', body(count), { ifExists: 'replace', metadata: {}, signal });
  const entry = await store.open('entry', { signal });
  let bytes = 0;
  for await (const chunk of entry!.body) bytes += chunk.length;
  if (bytes !== count * MIB) throw new Error(`${bytes} bytes came back`);
  return process.resourceUsage().maxRSS / 1024;
}

const before = await move(1);
const after = await move(Number(mebibytes));
store.close();
process.stdout.write(String(Math.round(after - before)));
