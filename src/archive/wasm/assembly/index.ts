/**
 * What the module offers the host, see ../instance.ts. AssemblyScript: TypeScript with WebAssembly's types.
 */
export { deflate } from './deflate';
export { inflate, SLACK } from './inflate';
export { ENTRIES, readEntries } from './entries';
