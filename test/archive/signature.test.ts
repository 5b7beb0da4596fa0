import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  createChecker,
  createSigner,
  generateKeys,
  isPair,
  savingStatement,
  statement,
} from '../../src/archive/signature.ts';
import { temporaryDir } from './unpacking.ts';
import { lacks } from '../support/programs.ts';

const SEAL = { keyDigest: 'ab'.repeat(32), recipe: 'npm', runtime: 'linux-x64-node115' };
const ROOT_DIGEST = Buffer.alloc(32, 5);
const TEXT = statement(SEAL, ROOT_DIGEST);

it('signs five lines of text', () => {
  expect(TEXT.toString()).toBe(
    `sandbox-cache entry v1\n${'05'.repeat(32)}\n${'ab'.repeat(32)}\nnpm\nlinux-x64-node115\n`,
  );
});

it('signs the time of saving as five lines that are never those of an entry', () => {
  expect(savingStatement(SEAL, '2026-11-26T01:16:41.000Z').toString()).toBe(
    `sandbox-cache saving v1\n2026-11-26T01:16:41.000Z\n${'ab'.repeat(32)}\nnpm\nlinux-x64-node115\n`,
  );
});

it('accepts what the other half of the pair signed, and nothing else', () => {
  const keys = generateKeys();
  const signature = createSigner(keys.signingKey)(TEXT);
  const check = createChecker(keys.verifyKey);
  expect(signature).toHaveLength(64);
  expect(() => check(TEXT, signature)).not.toThrow();

  const untrusted = expect.objectContaining({ code: 'ARCHIVE_UNTRUSTED', hint: expect.any(String) });
  expect(() => check(TEXT, undefined)).toThrow(untrusted);
  expect(() => check(TEXT, createSigner(generateKeys().signingKey)(TEXT))).toThrow(untrusted);
  expect(() => check(TEXT, Buffer.alloc(64))).toThrow(untrusted);
  for (const change of [{ recipe: 'bundle' }, { runtime: '' }, { keyDigest: 'cd'.repeat(32) }])
    expect(() => check(statement({ ...SEAL, ...change }, ROOT_DIGEST), signature)).toThrow(untrusted);
  expect(() => check(statement(SEAL, Buffer.alloc(32, 6)), signature)).toThrow(untrusted);

  expect(isPair(keys)).toBe(true);
  expect(isPair({ ...keys, verifyKey: generateKeys().verifyKey })).toBe(false);
});

it.skipIf(lacks('openssl'))('takes keys that openssl made, and openssl takes our signature', () => {
  const dir = temporaryDir();
  const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  openssl('genpkey', '-algorithm', 'ed25519', '-out', 'key.pem');
  const signingKey = openssl('pkey', '-in', 'key.pem').toString();
  const verifyKey = openssl('pkey', '-in', 'key.pem', '-pubout').toString();
  const signature = createSigner(signingKey)(TEXT);
  createChecker(verifyKey)(TEXT, signature);

  writeFileSync(join(dir, 'public.pem'), verifyKey);
  writeFileSync(join(dir, 'text'), TEXT);
  writeFileSync(join(dir, 'signature'), signature);
  const files = ['-inkey', 'public.pem', '-rawin', '-in', 'text', '-sigfile', 'signature'];
  const verdict = openssl('pkeyutl', '-verify', '-pubin', ...files);
  expect(verdict.toString()).toContain('Verified Successfully');
});

it('refuses keys of another kind, and does not repeat them', () => {
  const { signingKey, verifyKey } = generateKeys();
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const rsaPrivate = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const rsaPublic = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  for (const pem of [verifyKey, rsaPrivate, 'secret nonsense', ''])
    expectWrongKey(() => createSigner(pem), 'CACHE_SIGNING_KEY');
  for (const pem of [signingKey, rsaPublic, 'secret nonsense', ''])
    expectWrongKey(() => createChecker(pem), 'CACHE_VERIFY_KEY');
});

function expectWrongKey(create: () => unknown, variable: string): void {
  expect(create).toThrow(
    expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(
        new RegExp(`^${variable} is not an Ed25519 (private|public) key in PEM$`),
      ),
    }),
  );
  // It may quote what it could not parse.
  expect(create).not.toThrow(expect.objectContaining({ cause: expect.anything() }));
}
