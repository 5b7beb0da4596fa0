/**
 * Preloaded into a child process (`NODE_OPTIONS=--import=…`), so that names which mean nothing here lead to a test server:
 * - TLS connections to Amazon S3's host names go to TEST_AWS_PORT on loopback, whose certificate is TEST_AWS_CA (PEM);
 * - `*.localhost` is this machine, as RFC 6761 has it and not every resolver knows;
 * - `localhost` does not resolve while there is a file TEST_LOCALHOST_GONE.
 * Everything above the socket is as it is outside.
 */
import dns from 'node:dns';
import { existsSync } from 'node:fs';
import tls from 'node:tls';

const { TEST_AWS_PORT, TEST_AWS_CA, TEST_LOCALHOST_GONE } = process.env;
const { connect } = tls;
const { lookup } = dns;

tls.connect = (options, ...rest) => {
  const host = options?.host;
  if (typeof host !== 'string' || !/(^|\.)s3[.-].*amazonaws\.com$/.test(host))
    return connect(options, ...rest);
  const place = { host: '127.0.0.1', port: Number(TEST_AWS_PORT), servername: host, ca: TEST_AWS_CA };
  return connect({ ...options, ...place }, ...rest);
};

dns.lookup = (name, ...rest) => {
  if (name === 'localhost' && TEST_LOCALHOST_GONE !== undefined)
    return lookup(existsSync(TEST_LOCALHOST_GONE) ? 'no-such-host.invalid' : '127.0.0.1', ...rest);
  return lookup(name.endsWith('.localhost') ? '127.0.0.1' : name, ...rest);
};
