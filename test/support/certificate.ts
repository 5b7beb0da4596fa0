/**
 * A self-signed certificate made with Node's own crypto: tests of TLS need neither the openssl command nor a package.
 * DER as in RFC 5280, EC P-256 keys, good for one year.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

export interface Certificate {
  /** PEM */
  certificate: string;
  /** PEM, PKCS #8 */
  key: string;
}

const OID = {
  commonName: '550403',
  ecdsaWithSha256: '2a8648ce3d040302',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  subjectKeyIdentifier: '551d0e',
};

/** For localhost, 127.0.0.1 and the given host names; `*.example.com` covers one label. */
export function createCertificate(hosts: readonly string[] = []): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const name = sequence(
    tlv(0x31, sequence(oid(OID.commonName), tlv(0x0c, Buffer.from('sandbox-cache tests')))),
  );
  const names = ['localhost', '*.localhost', '127.0.0.1', ...hosts].map((host) =>
    isIP(host) === 4 ? tlv(0x87, Buffer.from(host.split('.').map(Number))) : tlv(0x82, Buffer.from(host)),
  );
  const extensions = sequence(
    extension(OID.basicConstraints, sequence(Buffer.from([0x01, 0x01, 0xff]))),
    extension(OID.subjectKeyIdentifier, tlv(0x04, createHash('sha1').update(spki).digest())),
    extension(OID.subjectAltName, sequence(...names)),
  );
  const body = sequence(
    tlv(0xa0, Buffer.from([0x02, 0x01, 0x02])),
    tlv(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(15)])),
    algorithm,
    name,
    sequence(time(-24), time(365 * 24)),
    name,
    spki,
    tlv(0xa3, extensions),
  );
  const signature = sign('sha256', body, privateKey);
  const der = sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  return {
    certificate: pem('CERTIFICATE', der),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), tlv(0x04, value));
}

/** UTCTime, `YYMMDDHHMMSSZ` */
function time(hoursFromNow: number): Buffer {
  const text = new Date(Date.now() + hoursFromNow * 3_600_000).toISOString();
  return tlv(0x17, Buffer.from(`${text.slice(2, 19).replace(/\D/g, '')}Z`));
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'));
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function tlv(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
