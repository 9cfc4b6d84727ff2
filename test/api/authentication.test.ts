import { createHmac } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { exportSPKI, SignJWT } from 'jose';
import { closedPort, expectProblem, ORDER, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';
import { AUDIENCE, newKeys, startTokenIssuer, type TokenIssuer } from './tokens.js';

let issuer: TokenIssuer;
let api: TestApi;
const apis: TestApi[] = [];
const trusting = async (changed: object = {}) => {
  const authentication = {
    issuer: issuer.url,
    audience: AUDIENCE,
    rolesClaim: 'roles',
    jwksUrl: issuer.jwksUrl,
    ...changed,
  };
  const shared = apis[0] && { db: apis[0].db, databaseUrl: apis[0].databaseUrl };
  const started = await startTestApi({ authentication, ...shared });
  apis.push(started);
  return started;
};
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await trusting();
});
afterEach(() => {
  jest.restoreAllMocks();
  issuer.repair();
});
afterAll(async () => {
  await Promise.all(apis.slice(1).map((each) => each.stop()));
  await Promise.all([api.stop(), issuer.stop()]);
});

const ask = (authorization: string, from = api) => from.get('/orders', authorization === '' ? {} : { authorization });
const segment = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token', () => {
  test.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('signed by the issuer with %s is taken', async (alg) => {
    const keys = await newKeys(alg);
    issuer.publish(keys);
    const fresh = await trusting();
    expect((await ask(await issuer.token({ keys }), fresh)).status).toBe(200);
  });

  test('is taken with its audience in a list, roles as text, and the scheme in any case', async () => {
    const token = await issuer.token({ audience: ['other', AUDIENCE], claims: { roles: 'openid auditor' } });
    expect((await ask(token.replace('Bearer', 'bEARER'))).status).toBe(200);
  });

  test('that expired a moment ago is still taken, for clocks differ', async () => {
    expect((await ask(await issuer.token({ expiresInS: -10 }))).status).toBe(200);
  });

  const forgeries: [string, () => Promise<string> | string][] = [
    ['that is missing', () => ''],
    ['that is empty', () => 'Bearer '],
    ['of another scheme', () => `Basic ${Buffer.from('admin:admin').toString('base64')}`],
    ['that is garbage', () => 'Bearer garbage'],
    ['of garbage in three parts', () => 'Bearer a.b.c'],
    ['that comes twice', async () => `${await issuer.token()}, ${await issuer.token()}`],
    ['without its signature', async () => (await issuer.token()).replace(/[^.]*$/, '')],
    ['with alg none', async () => `Bearer ${segment({ alg: 'none' })}.${claimsOf(await issuer.token())}.`],
    [
      'with alg none and a signature',
      async () => (await issuer.token()).replace(/Bearer [^.]*/, `Bearer ${segment({ alg: 'none' })}`),
    ],
    ['signed with the public key as a secret (HS256)', () => forgeWithPublicKey()],
    ['that has expired', () => issuer.token({ expiresInS: -60 })],
    ['that is not valid yet', () => issuer.token({ claims: { nbf: Math.floor(Date.now() / 1_000) + 600 } })],
    ['of another issuer', () => issuer.token({ issuer: 'https://evil.example' })],
    ['of the issuer’s URL with a slash more', () => issuer.token({ issuer: `${issuer.url}/` })],
    ['for another audience', () => issuer.token({ audience: 'another-service' })],
    ['for no audience', () => issuer.token({ audience: undefined })],
    ['of nobody', () => issuer.token({ subject: undefined })],
    ['that never expires', () => issuer.token({ expiresInS: undefined })],
    ['of an unknown key', async () => issuer.token({ keys: { ...issuer.keys, kid: 'unknown' } })],
    [
      'of a stranger’s key under the issuer’s kid',
      async () => issuer.token({ keys: { ...(await newKeys('RS256')), kid: issuer.keys.kid } }),
    ],
    ['that brings its own key along', () => bringOwnKey()],
    ['whose claims were changed', async () => tamper(await issuer.token({ roles: ['customer'] }))],
  ];
  test.each(forgeries)('%s is refused', async (_, forge) => {
    const answer = await ask(await forge());
    expectProblem(answer, 401, 'unauthenticated');
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
  });

  test('is asked for before anything else is looked at', async () => {
    expectProblem(await api.send('POST', '/orders', '{', { 'content-type': 'text/plain' }), 401, 'unauthenticated');
    expectProblem(await api.send('POST', '/orders', 'x'.repeat(100_000)), 401, 'unauthenticated');
  });
});

const claimsOf = (token: string) => token.split('.')[1];

async function forgeWithPublicKey(): Promise<string> {
  const secret = await exportSPKI(issuer.keys.publicKey);
  const signed = `${segment({ alg: 'HS256', kid: issuer.keys.kid })}.${claimsOf(await issuer.token())}`;
  return `Bearer ${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

async function bringOwnKey(): Promise<string> {
  const own = await newKeys('RS256');
  return `Bearer ${await new SignJWT({ roles: ['operator'] })
    .setProtectedHeader({ alg: 'RS256', jwk: own.jwk, jku: 'http://127.0.0.1:1/jwks', kid: 'own' })
    .setIssuer(issuer.url)
    .setAudience(AUDIENCE)
    .setSubject('eve')
    .setExpirationTime('1h')
    .sign(own.privateKey)}`;
}

function tamper(token: string): string {
  const [head, claims = '', signature] = token.split('.');
  const changed = { ...JSON.parse(Buffer.from(claims, 'base64url').toString()), roles: ['operator'] };
  return [head, segment(changed), signature].join('.');
}

describe('the issuer’s keys', () => {
  test('are found by discovery', async () => {
    const found = await trusting({ jwksUrl: undefined });
    expect((await ask(await issuer.token(), found)).status).toBe(200);
    expectProblem(await ask('Bearer a.b.c', found), 401, 'unauthenticated');
  });

  test('of another issuer’s discovery document are not taken', async () => {
    const misled = await trusting({ jwksUrl: undefined, issuer: `${issuer.url}/` });
    expectProblem(await ask(await issuer.token({ issuer: `${issuer.url}/` }), misled), 503, 'unavailable');
  });

  test('may change: a new key is fetched, an old one goes on', async () => {
    const old = await issuer.token();
    expect((await ask(old)).status).toBe(200);
    const next = await newKeys('RS256');
    issuer.publish(next);
    const later = Date.now() + 31_000; // unknown keys are asked for at most every 30 s
    jest.spyOn(Date, 'now').mockImplementation(() => later);
    expect((await ask(await issuer.token({ keys: next }))).status).toBe(200);
    expect((await ask(old)).status).toBe(200);
  });

  test.each<[string, () => Promise<object | undefined>]>([
    ['nobody answers', async () => ({ jwksUrl: `http://127.0.0.1:${await closedPort()}/jwks` })],
    [
      'nobody answers at the issuer',
      async () => ({ jwksUrl: undefined, issuer: `http://127.0.0.1:${await closedPort()}` }),
    ],
    ['the issuer answers 500', async () => issuer.fail(500)],
    ['the issuer answers nonsense', async () => issuer.fail(200)],
  ])('that cannot be had (%s) are our failure, not the token’s', async (_, failing) => {
    const cutOff = await trusting(await failing());
    const answer = await ask(await issuer.token(), cutOff);
    expectProblem(answer, 503, 'unavailable');
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await cutOff.get('/livez')).status).toBe(200);
  });

  test('that were missing are taken once they are there', async () => {
    const patient = await trusting();
    issuer.fail(500);
    expectProblem(await ask(await issuer.token(), patient), 503, 'unavailable');
    issuer.repair();
    expect((await ask(await issuer.token(), patient)).status).toBe(200);
  });

  test('are kept through the issuer’s outage, however long', async () => {
    const token = await issuer.token();
    expect((await ask(token)).status).toBe(200);
    issuer.fail(500);
    const later = Date.now() + 11 * 60_000;
    jest.spyOn(Date, 'now').mockImplementation(() => later);
    expect((await ask(token)).status).toBe(200);
    expectProblem(await ask('Bearer a.b.c'), 401, 'unauthenticated');
    expectProblem(await ask(await issuer.token({ keys: await newKeys('RS256') })), 503, 'unavailable');
  });
});

test('an Idempotency-Key is its caller’s own', async () => {
  await stock(api.db, 'KEYBOARD', 100);
  const place = async (subject: string, changed = {}) =>
    api.place(changed, {
      authorization: await issuer.token({ subject, roles: ['service'] }),
      'idempotency-key': 'k-shared',
    });
  const first = await place('shop-a');
  const other = await place('shop-b', { customerId: 'cus_b' });
  expect([first.status, other.status, other.headers.get('idempotent-replayed')]).toEqual([201, 201, null]);
  expect((await place('shop-a')).text).toBe(first.text);
  expectProblem(await place('shop-b', ORDER), 422, 'idempotency-key-reused');
});
