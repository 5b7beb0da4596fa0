/** moto, an emulator of AWS in Python: `moto_server` from `pip install 'moto[server]'`, where it is on PATH. */
import { join } from 'node:path';
import { findProgram, startDaemon } from './daemon.ts';
import { freePorts, waitForPort } from './ports.ts';
import { makeTemporaryFolder } from './temporary.ts';

const START_MS = 30_000;

export interface Moto {
  endpoint: string;
  stop(): Promise<void>;
}

/** Why moto cannot run here; undefined when it can. */
export async function motoMissing(): Promise<string | undefined> {
  return (await findProgram('moto_server')) === undefined ? 'moto_server not on PATH' : undefined;
}

export async function startMoto(): Promise<Moto> {
  const folder = await makeTemporaryFolder('moto');
  const [port = 0] = await freePorts(1);
  const daemon = startDaemon('moto_server', ['-H', '127.0.0.1', '-p', String(port)], {
    logFile: join(folder.path, 'moto.log'),
    cwd: folder.path,
    // moto follows endpoint variables itself and would forward to another server.
    env: withoutAws(process.env),
  });
  const stop = async (): Promise<void> => {
    await daemon.stop();
    await folder.remove();
  };
  try {
    await waitForPort(port, { deadlineMs: START_MS, alive: daemon.assertAlive });
  } catch (error) {
    const log = await daemon.log();
    await stop();
    throw new Error(`moto did not start: ${String(error)}\n${log.slice(-2000)}`, { cause: error });
  }
  return { endpoint: `http://127.0.0.1:${port}`, stop };
}

function withoutAws(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('AWS_')));
}
