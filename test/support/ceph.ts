/**
 * Ceph RGW, a production S3 server, from nothing in about two seconds: one monitor, one object store in memory and one
 * gateway, as any user, without systemd, every file under one temporary folder, on loopback only.
 * On Debian: `apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common`.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram, runProgram, startDaemon } from './daemon.ts';
import type { Daemon } from './daemon.ts';
import { freePorts, waitForPort } from './ports.ts';
import { makeTemporaryFolder } from './temporary.ts';

const PROGRAMS = ['radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph', 'monmaptool'];
const START_MS = 60_000;

export interface CephOptions {
  /** `bluestore` keeps its data in a file and frees what was overwritten; `memstore` starts four seconds faster. @default 'memstore' */
  objectStore?: 'memstore' | 'bluestore';
}

export interface Ceph {
  endpoint: string;
  credentials: Keys;
  /** `arn:aws:iam:::user/guest`, who may do nothing but what a bucket's policy allows. */
  guest: Keys;
  /** `16.2.15` */
  version: string;
  /** Ends the gateway, then the store, then the monitor, and removes the folder. */
  stop(): Promise<void>;
}

interface Keys {
  accessKeyId: string;
  secretAccessKey: string;
}

/** Why Ceph cannot run here; undefined when it can. */
export async function cephMissing(): Promise<string | undefined> {
  const found = await Promise.all(PROGRAMS.map(findProgram));
  const missing = PROGRAMS.filter((_, index) => found[index] === undefined);
  return missing.length === 0 ? undefined : `${missing.join(', ')} not on PATH`;
}

/** @throws Error when any part fails to start; nothing is left running then */
export async function startCeph(options: CephOptions = {}): Promise<Ceph> {
  const folder = await makeTemporaryFolder('ceph');
  const daemons: Daemon[] = [];
  const stop = async (): Promise<void> => {
    for (const daemon of [...daemons].reverse()) await daemon.stop();
    await folder.remove();
  };
  try {
    return { ...(await startIn(folder.path, daemons, options)), stop };
  } catch (error) {
    const logs = await Promise.all(daemons.map((daemon) => daemon.log()));
    await stop();
    throw new Error(`Ceph RGW did not start: ${String(error)}\n${logs.join('\n').slice(-4000)}`, {
      cause: error,
    });
  }
}

async function startIn(folder: string, daemons: Daemon[], options: CephOptions): Promise<Omit<Ceph, 'stop'>> {
  const [gatewayPort = 0, monitorPort = 0] = await freePorts(2);
  const fsid = randomUUID();
  const osd = randomUUID();
  const file = join(folder, 'ceph.conf');
  const ceph = (program: string, ...args: string[]): Promise<string> =>
    runProgram(program, ['-c', file, ...args]);
  const start = (program: string, ...args: string[]): Daemon => {
    const daemon = startDaemon(program, ['-c', file, '-f', ...args], {
      logFile: join(folder, `${program}.out`),
      // Nothing of it outlives the run, and the gateway takes five seconds to end by itself.
      graceMs: 0,
    });
    daemons.push(daemon);
    return daemon;
  };

  await Promise.all(['mon', 'osd', 'run'].map((name) => mkdir(join(folder, name))));
  await writeFile(
    file,
    configuration({ folder, fsid, gatewayPort, monitorPort, objectStore: options.objectStore ?? 'memstore' }),
  );
  const address = `[v2:127.0.0.1:${monitorPort}]`;
  const map = join(folder, 'monmap');
  await runProgram('monmaptool', ['--create', '--clobber', '--fsid', fsid, '--addv', 'a', address, map]);
  await ceph('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map);
  const monitor = start('ceph-mon', '-i', 'a');
  await Promise.all([
    ceph('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd),
    waitForPort(monitorPort, { deadlineMs: START_MS, alive: monitor.assertAlive }),
  ]);
  await ceph('ceph', 'osd', 'new', osd, '0');
  await ceph('ceph', 'osd', 'crush', 'add', 'osd.0', '1', 'root=default');
  start('ceph-osd', '-i', '0');

  const credentials = {
    accessKeyId: 'SANDBOXCACHECEPHTEST',
    secretAccessKey: 'secret-of-the-ceph-test-user',
  };
  const guest = { accessKeyId: 'SANDBOXCACHECEPHGUEST', secretAccessKey: 'secret-of-the-ceph-guest' };
  for (const [uid, keys] of Object.entries({ test: credentials, guest })) {
    const pair = [`--access-key=${keys.accessKeyId}`, `--secret-key=${keys.secretAccessKey}`];
    await ceph('radosgw-admin', 'user', 'create', `--uid=${uid}`, `--display-name=${uid}`, ...pair);
  }
  const gateway = start('radosgw', '-n', 'client.rgw.a');
  await waitForPort(gatewayPort, { deadlineMs: START_MS, alive: gateway.assertAlive });
  const version = /version (\S+)/.exec(await runProgram('radosgw', ['--version']))?.[1] ?? 'unknown';
  return { endpoint: `http://127.0.0.1:${gatewayPort}`, credentials, guest, version };
}

interface Configuration {
  folder: string;
  fsid: string;
  gatewayPort: number;
  monitorPort: number;
  objectStore: 'memstore' | 'bluestore';
}

function configuration({ folder, fsid, gatewayPort, monitorPort, objectStore }: Configuration): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitorPort}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
# Without these the gateway waits 300 s for a secure connection.
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
osd objectstore = ${objectStore}
memstore device bytes = 4294967296
bluestore block size = 6442450944
mon data = ${folder}/mon
osd data = ${folder}/osd
run dir = ${folder}/run
log file = ${folder}/$name.log
mon cluster log file = ${folder}/cluster.log
crash dir = ${folder}/run
admin socket = ${folder}/run/$name.asok
pid file = ${folder}/run/$name.pid
# Else the first election takes more than ten seconds.
paxos propose interval = 0.05
paxos min wait = 0.02
# Without tcp_nodelay every call takes 45 ms.
rgw frontends = beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1
rgw crypt require ssl = false
rgw run sync thread = false
# Its lifecycle threads would look through the buckets all the time, and take one core.
rgw enable lc threads = false
debug rgw = 0
`;
}
