/** What the module offers the host, see ../codec.ts. AssemblyScript: TypeScript with WebAssembly's types. */
export { deflate } from './deflate';
export { inflate, SLACK } from './inflate';
