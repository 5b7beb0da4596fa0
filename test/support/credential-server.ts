/**
 * Where AWS credentials come from, in this process: STS, the SSO portal and its token service, the endpoint of containers (ECS, EKS
 * Pod Identity) and the instance metadata service (IMDSv2), all at one address. Each speaks its own protocol and checks what a
 * request proves. What it issues opens one S3 server.
 */
import { randomBytes } from 'node:crypto';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createCertificate } from './certificate.ts';
import type { S3Server, S3User } from './s3-server.ts';
import { authenticate, sha256 } from './s3-server/signature.ts';
import { xmlElement } from './s3-server/xml.ts';

export interface CredentialServerOptions {
  /** What the credentials open. */
  s3: S3Server;
  /** Who may assume roles. @default the users of `s3` */
  users?: readonly S3User[];
  /** HTTPS, with a certificate made for the occasion. */
  tls?: boolean;
}

export interface CredentialServer {
  endpoint: string;
  /** PEM, with `tls`. */
  certificate: string | undefined;
  /** What was asked for, in the order of arrival, with its parameters: `AssumeRole`, `GetRoleCredentials`, `imds token` … */
  calls: { name: string; parameters: Record<string, string> }[];
  /** What the callers must show. */
  secrets: { webIdentity: string; sso: string; refresh: string; container: string };
  /** How long what it issues is said to live. @default an hour */
  lifetimeMs: number;
  /** The access key ids that it issued. */
  issued: string[];
  close(): Promise<void>;
}

interface Call {
  request: IncomingMessage;
  url: URL;
  body: string;
}

interface Answer {
  status: number;
  body: string;
}

export async function startCredentialServer(options: CredentialServerOptions): Promise<CredentialServer> {
  const identity = options.tls === true ? createCertificate([]) : undefined;
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://host');
      const { status, body } = answer(server, options, {
        request,
        url,
        body: Buffer.concat(chunks).toString(),
      });
      response.writeHead(status, { 'content-type': body.startsWith('<') ? 'text/xml' : 'application/json' });
      response.end(body);
    });
  };
  const http =
    identity === undefined
      ? createHttpServer(listener)
      : createHttpsServer({ key: identity.key, cert: identity.certificate }, listener);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const server: CredentialServer = {
    endpoint: `${identity === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    certificate: identity?.certificate,
    calls: [],
    secrets: { webIdentity: secret(), sso: secret(), refresh: secret(), container: secret() },
    lifetimeMs: 60 * 60 * 1000,
    issued: [],
    close: async () => {
      await new Promise((resolve) => {
        http.close(resolve);
        http.closeAllConnections();
      });
    },
  };
  return server;
}

function answer(server: CredentialServer, options: CredentialServerOptions, call: Call): Answer {
  const { request, url } = call;
  const { pathname } = url;
  if (request.method === 'POST' && pathname === '/') return sts(server, options, call);
  if (pathname === '/federation/credentials') return portal(server, options, call);
  if (request.method === 'POST' && pathname === '/token') return tokens(server, call);
  if (pathname.startsWith('/latest/')) return instance(server, options, call);
  if (/^\/v[12]\/credentials/.test(pathname)) return container(server, options, call);
  return { status: 404, body: '{}' };
}

/** The query protocol: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html */
function sts(
  server: CredentialServer,
  { s3, users }: CredentialServerOptions,
  { request, body }: Call,
): Answer {
  const parameters = Object.fromEntries(new URLSearchParams(body));
  const action = parameters['Action'] ?? '';
  server.calls.push({ name: action, parameters });
  const refuse = (Code: string, Message: string): Answer => ({
    status: 403,
    body: xmlElement('ErrorResponse', { Error: { Type: 'Sender', Code, Message }, RequestId: 'TEST' }),
  });
  const arn = /^arn:aws:iam::(\d{12}):role\/(.+)$/.exec(parameters['RoleArn'] ?? '');
  if (arn === null || (parameters['RoleSessionName'] ?? '') === '')
    return refuse('ValidationError', 'RoleArn and RoleSessionName are required');
  if (action === 'AssumeRoleWithWebIdentity') {
    if (parameters['WebIdentityToken'] !== server.secrets.webIdentity)
      return refuse('InvalidIdentityToken', 'The token is not known');
  } else if (action === 'AssumeRole') {
    try {
      const headers = { ...request.headers, 'x-amz-content-sha256': sha256(body) };
      const signed = { method: 'POST', rawPath: '/', query: new URLSearchParams(), headers, service: 'sts' };
      const known = [...(users ?? [s3.credentials]), ...s3.knownUsers];
      authenticate(signed, known, new Date());
    } catch (error) {
      return refuse((error as { code?: string }).code ?? 'AccessDenied', String(error));
    }
  } else return refuse('InvalidAction', action);
  if (arn[2] === 'forbidden')
    return refuse('AccessDenied', 'User is not authorized to perform: sts:AssumeRole');
  const { user, expires } = issue(server, s3);
  const Credentials = {
    AccessKeyId: user.accessKeyId,
    SecretAccessKey: user.secretAccessKey,
    SessionToken: user.sessionToken!,
    Expiration: expires.toISOString(),
  };
  const Arn = `arn:aws:sts::${arn[1]}:assumed-role/${arn[2]}/${parameters['RoleSessionName']}`;
  const result = { Credentials, AssumedRoleUser: { Arn, AssumedRoleId: `AROATEST:${arn[2]}` } };
  return { status: 200, body: xmlElement(`${action}Response`, { [`${action}Result`]: result }) };
}

/** https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html */
function portal(server: CredentialServer, { s3 }: CredentialServerOptions, { request, url }: Call): Answer {
  server.calls.push({ name: 'GetRoleCredentials', parameters: Object.fromEntries(url.searchParams) });
  if (request.headers['x-amz-sso_bearer_token'] !== server.secrets.sso)
    return json(401, { message: 'Session token not found or invalid', __type: 'UnauthorizedException' });
  const { user, expires } = issue(server, s3);
  const { accessKeyId, secretAccessKey, sessionToken } = user;
  const expiration = expires.getTime();
  return json(200, { roleCredentials: { accessKeyId, secretAccessKey, sessionToken, expiration } });
}

/** https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html */
function tokens(server: CredentialServer, { body }: Call): Answer {
  const parameters = JSON.parse(body) as Record<string, string>;
  server.calls.push({ name: 'CreateToken', parameters });
  if (parameters['grantType'] !== 'refresh_token' || parameters['refreshToken'] !== server.secrets.refresh)
    return json(400, { error: 'invalid_grant', __type: 'InvalidGrantException' });
  return json(200, { accessToken: server.secrets.sso, expiresIn: 3600, tokenType: 'Bearer' });
}

/** https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html */
function container(
  server: CredentialServer,
  { s3 }: CredentialServerOptions,
  { request, url }: Call,
): Answer {
  server.calls.push({ name: 'container', parameters: { path: url.pathname } });
  if (request.headers.authorization !== server.secrets.container)
    return json(403, { code: 'AccessDenied', message: 'not authorized' });
  return json(200, document(issue(server, s3)));
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html */
function instance(server: CredentialServer, { s3 }: CredentialServerOptions, { request, url }: Call): Answer {
  const { method, headers } = request;
  if (method === 'PUT' && url.pathname === '/latest/api/token') {
    server.calls.push({ name: 'imds token', parameters: {} });
    if (headers['x-aws-ec2-metadata-token-ttl-seconds'] === undefined) return { status: 400, body: '' };
    return { status: 200, body: server.secrets.sso };
  }
  if (headers['x-aws-ec2-metadata-token'] !== server.secrets.sso) return { status: 401, body: '' };
  const role = /^\/latest\/meta-data\/iam\/security-credentials\/(.*)$/.exec(url.pathname)?.[1];
  if (role === undefined) return { status: 404, body: '' };
  server.calls.push({ name: role === '' ? 'imds role' : 'imds credentials', parameters: {} });
  if (role === '') return { status: 200, body: 'build-agent' };
  const now = new Date().toISOString();
  return json(200, { Code: 'Success', Type: 'AWS-HMAC', LastUpdated: now, ...document(issue(server, s3)) });
}

function issue(server: CredentialServer, s3: S3Server): { user: S3User; expires: Date } {
  const user = {
    accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: secret(),
    sessionToken: secret(),
  };
  s3.addUser(user);
  server.issued.push(user.accessKeyId);
  return { user, expires: new Date(Date.now() + server.lifetimeMs) };
}

function document({ user, expires }: { user: S3User; expires: Date }): Record<string, string> {
  return {
    AccessKeyId: user.accessKeyId,
    SecretAccessKey: user.secretAccessKey,
    Token: user.sessionToken!,
    Expiration: expires.toISOString(),
  };
}

function json(status: number, value: unknown): Answer {
  return { status, body: JSON.stringify(value) };
}

function secret(): string {
  return randomBytes(24).toString('hex');
}
