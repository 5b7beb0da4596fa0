/** The `tar` package doing what most JavaScript tools do with it: `node node-tar.mjs c|x <archive> <directory> [root…]`. */
import { create, extract } from 'tar';

const [operation, file, cwd, ...roots] = process.argv.slice(2);
if (operation === 'c') await create({ gzip: true, file, cwd }, roots);
else await extract({ file, cwd });
