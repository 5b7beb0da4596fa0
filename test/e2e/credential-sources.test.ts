/** Every source of AWS credentials, through the built command, against a server that speaks the source's own protocol. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startConnectProxy } from '../store/s3/connect-proxy.ts';
import { startCredentialServer, type CredentialServer } from '../support/credential-server.ts';
import { DEPS, expectExit, makeProject, useSandbox, writeFiles } from './support.ts';

const sandbox = useSandbox();
let source: CredentialServer;
beforeEach(async () => {
  source = await startCredentialServer({ s3: sandbox.server });
  writeFiles(sandbox.project, { 'deps.lock': 'one\n' });
});
afterEach(() => source.close());

const ROLE = 'arn:aws:iam::123456789012:role/cache';
const START_URL = 'https://example.awsapps.com/start';

type Env = Record<string, string | undefined>;

/** Nothing but what is named: no keys, and every service of AWS at our own address. */
function bare(files: { config?: string; credentials?: string } = {}): Env {
  writeFiles(sandbox.folder, { config: files.config ?? '', credentials: files.credentials ?? '' });
  return {
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_SESSION_TOKEN: undefined,
    AWS_CONFIG_FILE: join(sandbox.folder, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(sandbox.folder, 'credentials'),
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_ENDPOINT_URL_STS: source.endpoint,
    AWS_ENDPOINT_URL_SSO: source.endpoint,
    AWS_ENDPOINT_URL_SSO_OIDC: source.endpoint,
  };
}

function keys(section: string): string {
  const { accessKeyId, secretAccessKey } = sandbox.server.credentials;
  return `[${section}]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
}

/** As `aws sso login` leaves it. @param name the session, or its start URL for a profile of the older kind */
function signOn(name: string, token: Record<string, unknown> = {}): void {
  const file = createHash('sha1').update(name).digest('hex');
  const expiresAt = new Date(Date.now() + 60 * 60 * 1000).toISOString();
  const cached = { startUrl: START_URL, region: 'eu-west-1', accessToken: source.secrets.sso, expiresAt };
  writeFiles(`${sandbox.project}.home`, {
    [`.aws/sso/cache/${file}.json`]: JSON.stringify({ ...cached, ...token }),
  });
}

const SSO_SESSION = `[profile dev]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Developer
[sso-session corp]
sso_start_url = ${START_URL}
sso_region = eu-west-1
sso_registration_scopes = sso:account:access
`;

/** A miss: the bucket was asked, and took the signature. */
async function expectOpened(env: Env): Promise<void> {
  sandbox.server.requests.length = 0;
  const result = expectExit(await sandbox.run(['restore', ...DEPS], { env }), 1);
  expect(result.stderr).toBe('');
  const signers = new Set(sandbox.server.requests.map(({ accessKeyId }) => accessKeyId));
  const expected = source.issued.at(-1) ?? env['AWS_ACCESS_KEY_ID'] ?? sandbox.server.credentials.accessKeyId;
  expect([...signers]).toEqual([expected]);
}

const names = (): string[] => source.calls.map(({ name }) => name);

describe('opens the bucket', () => {
  it('keys in the environment, with a session token', async () => {
    const user = { accessKeyId: 'ASIAENVIRONMENT', secretAccessKey: 'secret', sessionToken: 'token' };
    sandbox.server.addUser(user);
    const env = { AWS_ACCESS_KEY_ID: user.accessKeyId, AWS_SECRET_ACCESS_KEY: user.secretAccessKey };
    await expectOpened({ ...bare(), ...env, AWS_SESSION_TOKEN: user.sessionToken });
    const result = await sandbox.run(['restore', ...DEPS], { env: { ...bare(), ...env } });
    expect(expectExit(result, 3).stderr).toContain('[STORE_BAD_CREDENTIALS]');
  });

  it.each([
    ['the default profile', 'default', {}],
    ['the one that AWS_PROFILE names', 'dev', { AWS_PROFILE: 'dev' }],
  ])('%s of the shared credentials file', async (_, section, env) => {
    await expectOpened({ ...bare({ credentials: keys(section) }), ...env });
  });

  it('a role by source_profile', async () => {
    const config = `[profile dev]\nrole_arn = ${ROLE}\nsource_profile = base\nexternal_id = ours\nrole_session_name = ci\n`;
    await expectOpened({ ...bare({ config, credentials: keys('base') }), AWS_PROFILE: 'dev' });
    const parameters = { RoleArn: ROLE, RoleSessionName: 'ci', ExternalId: 'ours' };
    expect(source.calls).toEqual([{ name: 'AssumeRole', parameters: expect.objectContaining(parameters) }]);
  });

  it('a role by a role', async () => {
    const config = `[profile dev]\nrole_arn = ${ROLE}\nsource_profile = middle\n[profile middle]\nrole_arn = ${ROLE}-middle\nsource_profile = base\n`;
    await expectOpened({ ...bare({ config, credentials: keys('base') }), AWS_PROFILE: 'dev' });
    expect(source.calls.map(({ parameters }) => parameters['RoleArn'])).toEqual([`${ROLE}-middle`, ROLE]);
  });

  it('a role by credential_source, at an address of the profile', async () => {
    const config = `[profile dev]\nrole_arn = ${ROLE}\ncredential_source = Environment\nservices = here\n[services here]\nsts =\n  endpoint_url = ${source.endpoint}\n`;
    const { accessKeyId, secretAccessKey } = sandbox.server.credentials;
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    await expectOpened({ ...bare({ config }), ...env, AWS_PROFILE: 'dev', AWS_ENDPOINT_URL_STS: undefined });
    expect(names()).toEqual(['AssumeRole']);
  });

  it('single sign-on, by a session', async () => {
    signOn('corp');
    await expectOpened({ ...bare({ config: SSO_SESSION }), AWS_PROFILE: 'dev' });
    const parameters = { account_id: '123456789012', role_name: 'Developer' };
    expect(source.calls).toEqual([{ name: 'GetRoleCredentials', parameters }]);
  });

  it('single sign-on, by a session whose token is over and can be renewed', async () => {
    signOn('corp', {
      accessToken: 'old',
      expiresAt: new Date(Date.now() - 1000).toISOString(),
      clientId: 'client',
      clientSecret: 'secret',
      refreshToken: source.secrets.refresh,
    });
    await expectOpened({ ...bare({ config: SSO_SESSION }), AWS_PROFILE: 'dev' });
    expect(names()).toEqual(['CreateToken', 'GetRoleCredentials']);
  });

  it('single sign-on, by a profile of the older kind', async () => {
    signOn(START_URL);
    const config = `[profile dev]\nsso_start_url = ${START_URL}\nsso_region = eu-west-1\nsso_account_id = 123456789012\nsso_role_name = Developer\n`;
    await expectOpened({ ...bare({ config }), AWS_PROFILE: 'dev' });
    expect(names()).toEqual(['GetRoleCredentials']);
  });

  it('a web identity token (IRSA)', async () => {
    writeFiles(sandbox.folder, { token: source.secrets.webIdentity });
    const env = { AWS_WEB_IDENTITY_TOKEN_FILE: join(sandbox.folder, 'token'), AWS_ROLE_ARN: ROLE };
    await expectOpened({ ...bare(), ...env, AWS_ROLE_SESSION_NAME: 'pod' });
    expect(source.calls).toEqual([
      {
        name: 'AssumeRoleWithWebIdentity',
        parameters: expect.objectContaining({ RoleArn: ROLE, RoleSessionName: 'pod' }) as unknown,
      },
    ]);
  });

  it('a web identity token of a profile', async () => {
    writeFiles(sandbox.folder, { token: source.secrets.webIdentity });
    const config = `[profile dev]\nrole_arn = ${ROLE}\nweb_identity_token_file = ${sandbox.folder}/token\n`;
    await expectOpened({ ...bare({ config }), AWS_PROFILE: 'dev' });
    expect(names()).toEqual(['AssumeRoleWithWebIdentity']);
  });

  it('a container by a token (ECS)', async () => {
    const AWS_CONTAINER_CREDENTIALS_FULL_URI = `${source.endpoint}/v2/credentials/1234`;
    const AWS_CONTAINER_AUTHORIZATION_TOKEN = source.secrets.container;
    await expectOpened({ ...bare(), AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN });
  });

  it('a container by a file with a token (EKS Pod Identity)', async () => {
    writeFiles(sandbox.folder, { token: source.secrets.container });
    const AWS_CONTAINER_CREDENTIALS_FULL_URI = `${source.endpoint}/v1/credentials`;
    const AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = join(sandbox.folder, 'token');
    await expectOpened({
      ...bare(),
      AWS_CONTAINER_CREDENTIALS_FULL_URI,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
    });
  });

  it("the instance's role (IMDSv2)", async () => {
    const env = {
      AWS_EC2_METADATA_DISABLED: undefined,
      AWS_EC2_METADATA_V1_DISABLED: 'true',
      AWS_EC2_METADATA_SERVICE_ENDPOINT: source.endpoint,
    };
    await expectOpened({ ...bare(), ...env });
    expect(names()).toEqual(['imds token', 'imds role', 'imds credentials']);
  });
});

describe('is told with its own reason', () => {
  const expectRefused = async (env: Env, said: RegExp): Promise<void> => {
    const result = expectExit(await sandbox.run(['restore', ...DEPS], { env, timeoutMs: 20_000 }), 3);
    expect(result.stderr).toMatch(/^\[cache\] error: No AWS credentials for s3:\/\/[^\n]+\n$/);
    expect(result.stderr).toMatch(said);
    for (const secret of Object.values(source.secrets)) expect(result.stderr).not.toContain(secret);
    expect(sandbox.server.requests).toEqual([]);
  };

  it('a role that may not be assumed', async () => {
    const config = `[profile dev]\nrole_arn = ${ROLE.replace(/cache$/, 'forbidden')}\nsource_profile = base\n`;
    const env = { ...bare({ config, credentials: keys('base') }), AWS_PROFILE: 'dev' };
    await expectRefused(env, /not authorized to perform: sts:AssumeRole/);
  });

  it('a sign-on that is over', async () => {
    signOn('corp', { expiresAt: new Date(Date.now() - 1000).toISOString() });
    await expectRefused({ ...bare({ config: SSO_SESSION }), AWS_PROFILE: 'dev' }, /aws sso login/);
  });

  it('a sign-on that the portal does not take', async () => {
    signOn('corp', { accessToken: 'of another' });
    const env = { ...bare({ config: SSO_SESSION }), AWS_PROFILE: 'dev' };
    await expectRefused(env, /Session token not found or invalid/);
  });

  it('a web identity token that is not taken, and one that is not there', async () => {
    writeFiles(sandbox.folder, { token: 'another' });
    const env = { AWS_WEB_IDENTITY_TOKEN_FILE: join(sandbox.folder, 'token'), AWS_ROLE_ARN: ROLE };
    await expectRefused({ ...bare(), ...env }, /The token is not known/);
    await expectRefused(
      { ...bare(), ...env, AWS_WEB_IDENTITY_TOKEN_FILE: join(sandbox.folder, 'none') },
      /ENOENT.*\/none/,
    );
  });

  it('a container that gets no credentials', async () => {
    const AWS_CONTAINER_CREDENTIALS_FULL_URI = `${source.endpoint}/v1/credentials`;
    const env = { ...bare(), AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'x' };
    await expectRefused(env, /403|not authorized/);
  });
});

describe('nothing configured', () => {
  it('ends soon where the instance metadata service never answers, and says what was tried', async () => {
    const hung = createServer(() => {});
    await new Promise<void>((resolve) => hung.listen(0, '127.0.0.1', resolve));
    const { port } = hung.address() as AddressInfo;
    const env = {
      ...bare(),
      AWS_EC2_METADATA_DISABLED: undefined,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${port}`,
    };
    const result = expectExit(await sandbox.run(['restore', ...DEPS], { env }), 3);
    expect(result.stderr).toMatch(/tried the environment .*profile.*SSO.*IRSA.*container.*instance role/);
    // 2.3 s on an idle machine: the SDK's two limits of a second, and the start.
    expect(result.ms).toBeLessThan(5000);
    hung.close();
  });
});

describe('where HTTPS goes through a proxy, to certificates of its own authority', () => {
  it.each([
    ['STS', `[profile dev]\nrole_arn = ${ROLE}\nsource_profile = base\n`],
    ['single sign-on', SSO_SESSION],
  ])('%s does too', async (_, config) => {
    const secure = await startCredentialServer({ s3: sandbox.server, tls: true });
    const port = Number(new URL(secure.endpoint).port);
    const proxy = await startConnectProxy(port);
    source.secrets.sso = secure.secrets.sso;
    signOn('corp');
    writeFiles(sandbox.folder, { 'ca.pem': secure.certificate! });
    // No name of this machine: without the proxy nothing is there.
    const endpoint = `https://localhost:${port + 1 > 65_535 ? 1 : port + 1}`;
    const env = {
      ...bare({ config, credentials: keys('base') }),
      AWS_PROFILE: 'dev',
      HTTPS_PROXY: proxy.url,
      AWS_CA_BUNDLE: join(sandbox.folder, 'ca.pem'),
      AWS_ENDPOINT_URL_STS: endpoint,
      AWS_ENDPOINT_URL_SSO: endpoint,
    };
    expectExit(await sandbox.run(['restore', ...DEPS], { env }), 1);
    expect(secure.issued).toHaveLength(1);
    expect(proxy.targets).toHaveLength(1);
    await proxy.close();
    await secure.close();
  });
});

describe('the file of the project', () => {
  it('does not lead the sources of credentials elsewhere', async () => {
    writeFiles(sandbox.project, {
      '.env.claude-sandbox': [
        `AWS_ENDPOINT_URL_STS=${source.endpoint}`,
        `AWS_CONTAINER_CREDENTIALS_FULL_URI=${source.endpoint}/v1/credentials`,
        `AWS_EC2_METADATA_SERVICE_ENDPOINT=${source.endpoint}`,
        `AWS_CONFIG_FILE=${sandbox.folder}/theirs`,
        'AWS_EC2_METADATA_DISABLED=false',
      ].join('\n'),
      '../theirs': keys('default'),
    });
    const result = await sandbox.run(['restore', ...DEPS], { env: bare() });
    expect(expectExit(result, 3).stderr).toContain('[STORE_NO_CREDENTIALS]');
    expect(source.calls).toEqual([]);
  });
});

describe('credentials that end while an entry is sent', () => {
  it('are renewed, and the upload goes on', async () => {
    makeProject(sandbox.project, { bigBytes: 60 * 1024 * 1024 });
    const env = {
      ...bare(),
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${source.endpoint}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: source.secrets.container,
    };
    let parts = 0;
    const isThirdPart = ({ operation }: { operation: string }): boolean =>
      operation === 'UploadPart' && (parts += 1) === 3;
    const run = (): void => sandbox.server.expire(source.issued[0]!);
    sandbox.server.faults.add({ match: isThirdPart, effect: { type: 'before', run } });
    expect(expectExit(await sandbox.run(['save', ...DEPS], { env }), 0).stdout).toMatch(/^deps saved/);
    const signers = new Set(
      sandbox.server.requests.filter(({ status }) => status === 200).map(({ accessKeyId }) => accessKeyId),
    );
    expect(signers.size).toBeGreaterThan(1);
    expect(sandbox.uploads).toBe(0);
    expect(existsSync(join(sandbox.project, 'deps'))).toBe(true);
  });

  it('that say when they end are renewed before that', async () => {
    // The SDK asks anew five minutes before.
    source.lifetimeMs = 4 * 60 * 1000;
    makeProject(sandbox.project);
    const env = {
      ...bare(),
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${source.endpoint}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: source.secrets.container,
    };
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    expect(source.issued.length).toBeGreaterThan(1);
    expect(readFileSync(join(sandbox.project, 'deps.lock'), 'utf8')).toBe('one\n');
  });
});
