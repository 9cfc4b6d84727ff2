/** An OpenID Connect issuer of the tests' own: a tiny HTTP server with keys, and tokens right and wrong in any way. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, type GenerateKeyPairResult, generateKeyPair, type JWK, SignJWT } from 'jose';

export const AUDIENCE = 'order-saga';
const HOUR_S = 3_600;

export type Keys = GenerateKeyPairResult & { alg: string; kid: string; jwk: JWK };

let made = 0;
export async function newKeys(alg: string): Promise<Keys> {
  const pair = await generateKeyPair(alg, { extractable: true });
  const kid = `${alg}-${++made}`;
  return { ...pair, alg, kid, jwk: { ...(await exportJWK(pair.publicKey)), alg, kid, use: 'sig' } };
}

/** Each `undefined` leaves its claim out; what is absent is right. */
export type TokenRequest = {
  subject?: string | undefined;
  roles?: readonly string[];
  issuer?: string;
  audience?: string | string[] | undefined;
  expiresInS?: number | undefined;
  /** `iat`; absent = now. */
  issuedAt?: number | undefined;
  claims?: object;
  /** Of the protected header. */
  header?: object;
  keys?: Keys;
};

export type TokenIssuer = {
  url: string;
  jwksUrl: string;
  /** The first ones published; `token` signs with them. */
  keys: Keys;
  publish(keys: Keys): void;
  withdraw(keys: Keys): void;
  /** How often its keys were asked for. */
  asked(): number;
  /** From now on the issuer takes questions and never answers. */
  hang(): void;
  /** From now on its keys are this text. */
  babble(text: string): void;
  /** From now on the issuer answers this path so. */
  answer(path: string, status: number, headers: Record<string, string>, body?: string): void;
  /** From now on the issuer answers everything with this status, and no JSON. */
  fail(status: number): undefined;
  repair(): void;
  /** @returns what stands in the Authorization header */
  token(request?: TokenRequest): Promise<string>;
  stop(): Promise<void>;
};

export async function startTokenIssuer(): Promise<TokenIssuer> {
  const keys = await newKeys('RS256');
  let published = [keys.jwk];
  let failing: number | undefined;
  let hanging = false;
  let babble: string | undefined;
  let asked = 0;
  const answers = new Map<string, { status: number; headers: Record<string, string>; body: string }>();
  let url = '';
  const server = createServer((request, response) => {
    if (request.url === '/jwks') asked++;
    if (hanging) return;
    response.setHeader('connection', 'close');
    const answer = answers.get(request.url ?? '');
    if (answer) return void response.writeHead(answer.status, answer.headers).end(answer.body);
    if (babble !== undefined) return void response.writeHead(200).end(babble);
    if (failing !== undefined) return void response.writeHead(failing).end('<html>');
    const documents: Record<string, object> = {
      '/jwks': { keys: published },
      '/.well-known/openid-configuration': { issuer: url, jwks_uri: `${url}/jwks` },
    };
    const document = documents[request.url ?? ''];
    response
      .writeHead(document ? 200 : 404, { 'content-type': 'application/json' })
      .end(JSON.stringify(document ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    jwksUrl: `${url}/jwks`,
    keys,
    publish: ({ jwk }) => void published.push(jwk),
    withdraw: ({ jwk }) => {
      published = published.filter((each) => each !== jwk);
    },
    asked: () => asked,
    hang: () => {
      hanging = true;
    },
    babble: (text) => {
      babble = text;
    },
    answer: (path, status, headers, body = '') => void answers.set(path, { status, headers, body }),
    fail: (status) => {
      failing = status;
      return undefined;
    },
    repair: () => {
      failing = undefined;
      babble = undefined;
      hanging = false;
      answers.clear();
    },
    token: async (request = {}) => `Bearer ${await sign({ issuer: url, keys, ...request })}`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function sign({
  keys,
  claims,
  header,
  roles = ['auditor'],
  ...request
}: TokenRequest & { keys: Keys; issuer: string }): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const defaults = { subject: 'cus_42', audience: AUDIENCE, expiresInS: HOUR_S, issuedAt: now };
  const { subject, audience, expiresInS, issuedAt } = { ...defaults, ...request };
  const token = new SignJWT({ roles, ...claims })
    .setProtectedHeader({ alg: keys.alg, kid: keys.kid, ...header })
    .setIssuer(request.issuer);
  if (issuedAt !== undefined) token.setIssuedAt(issuedAt);
  if (subject !== undefined) token.setSubject(subject);
  if (audience !== undefined) token.setAudience(audience);
  if (expiresInS !== undefined) token.setExpirationTime(now + expiresInS);
  const crit = Object.fromEntries(((header as { crit?: string[] })?.crit ?? []).map((name) => [name, true]));
  return token.sign(keys.privateKey, { crit });
}
