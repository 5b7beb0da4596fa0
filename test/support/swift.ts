/**
 * OpenStack Swift with its s3api, a production object store, from nothing in about a second: all its servers in one process, as
 * any user, every file under one temporary folder, on loopback only.
 * On Debian: `apt-get install -y --no-install-recommends python3-swift`.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startDaemon } from './daemon.ts';
import { freePorts, waitForPort } from './ports.ts';
import { makeTemporaryFolder } from './temporary.ts';

const SERVER = new URL('swift-server.py', import.meta.url).pathname;
/** Debian's own first: packages are for that one, whatever else is on PATH. */
const PYTHONS = ['/usr/bin/python3', 'python3'];
const START_MS = 60_000;

export interface Swift {
  endpoint: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  stop(): Promise<void>;
}

/** Why Swift cannot run here; undefined when it can. */
export async function swiftMissing(): Promise<string | undefined> {
  return (await findPython()) === undefined ? 'no python3 has Swift (python3-swift)' : undefined;
}

/** @throws Error with its log when it fails to start; nothing is left running then */
export async function startSwift(): Promise<Swift> {
  const folder = await makeTemporaryFolder('swift');
  const ports = await freePorts(4);
  const python = (await findPython()) ?? 'python3';
  const daemon = startDaemon(python, [SERVER, folder.path, ...ports.map(String)], {
    logFile: join(folder.path, 'out'),
    graceMs: 0,
    // Nothing of Python beside the source.
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  const stop = async (): Promise<void> => {
    await daemon.stop();
    await folder.remove();
  };
  try {
    await waitForPort(ports[0]!, { deadlineMs: START_MS, alive: daemon.assertAlive });
  } catch (error) {
    const log = await daemon.log();
    await stop();
    throw new Error(`Swift did not start: ${String(error)}\n${log.slice(-4000)}`, { cause: error });
  }
  const credentials = { accessKeyId: 'test:tester', secretAccessKey: 'testing' };
  return { endpoint: `http://127.0.0.1:${ports[0]}`, credentials, stop };
}

async function findPython(): Promise<string | undefined> {
  for (const python of PYTHONS) {
    const works = await promisify(execFile)(python, ['-c', 'import swift.common.middleware.s3api']).then(
      () => true,
      () => false,
    );
    if (works) return python;
  }
  return undefined;
}
