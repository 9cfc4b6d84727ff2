import { createHmac } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { exportSPKI } from 'jose';
import { closedPort, expectProblem, ORDER, raw, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';
import { AUDIENCE, type Keys, newKeys, startTokenIssuer, type TokenIssuer } from './tokens.js';

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
    ['without a subject', () => issuer.token({ subject: undefined })],
    ['that never expires', () => issuer.token({ expiresInS: undefined })],
    ['of an unknown key', async () => issuer.token({ keys: { ...issuer.keys, kid: 'unknown' } })],
    [
      'of a stranger’s key under the issuer’s kid',
      async () => issuer.token({ keys: { ...(await newKeys('RS256')), kid: issuer.keys.kid } }),
    ],
    ['that brings its own key along (jwk)', () => bringOwnKey(({ jwk }) => ({ jwk }))],
    ['that says where its key is to be had (jku)', () => bringOwnKey(() => ({ jku: `${issuer.url}/jwks` }))],
    ['that says where its certificate is to be had (x5u)', () => bringOwnKey(() => ({ x5u: 'http://127.0.0.1:1/c' }))],
    ['that brings a certificate along (x5c)', () => bringOwnKey(() => ({ x5c: ['MIIB'] }))],
    ['whose kid is a path', () => bringOwnKey(() => ({ kid: '../../../../dev/null' }))],
    ['whose kid is SQL', () => bringOwnKey(() => ({ kid: "' UNION SELECT 'secret" }))],
    ['whose kid is no text', () => bringOwnKey(() => ({ kid: { toString: 'x' } }))],
    ['with an unknown critical extension', () => issuer.token({ header: { crit: ['x-ours'], 'x-ours': true } })],
    ['of the right key by another algorithm', async () => reheaded(await issuer.token(), { alg: 'PS256' })],
    ['of the right key by an algorithm of another curve', async () => reheaded(await issuer.token(), { alg: 'ES384' })],
    ['whose alg is spelled otherwise', async () => reheaded(await issuer.token(), { alg: 'rs256' })],
    ['whose alg is spelled nOnE', async () => reheaded(await issuer.token(), { alg: 'nOnE' })],
    ['whose header is no JSON', async () => (await issuer.token()).replace(/ [^.]*/, ' bm8')],
    ['whose signature is cut short', async () => (await issuer.token()).slice(0, -20)],
    [
      'whose signature is another token’s',
      async () => graft(await issuer.token(), await issuer.token({ subject: 'eve' })),
    ],
    ['of four parts', async () => `${await issuer.token()}.x`],
    ['that is encrypted (five parts)', () => 'Bearer a.b.c.d.e'],
    ['with a space before it', async () => (await issuer.token()).replace(' ', '  ')],
    ['of 9,000 characters', () => issuer.token({ claims: { padding: 'x'.repeat(9_000) } })],
    ['whose expiry is text', () => issuer.token({ expiresInS: undefined, claims: { exp: '9999999999' } })],
    ['issued in the future', () => issuer.token({ claims: { nbf: Number.MAX_SAFE_INTEGER } })],
    ['whose subject is empty', () => issuer.token({ subject: '' })],
    ['whose subject is no text', () => issuer.token({ subject: undefined, claims: { sub: { admin: true } } })],
    ['whose subject has a NUL', () => issuer.token({ subject: 'cus_42\u0000' })],
    ['whose subject is longer than subjects are', () => issuer.token({ subject: 's'.repeat(129) })],
    ['for a list of other audiences', () => issuer.token({ audience: ['a', `${AUDIENCE}-2`, AUDIENCE.toUpperCase()] })],
    ['whose claims were changed', async () => tamper(await issuer.token({ roles: ['customer'] }))],
  ];
  test.each(forgeries)('%s is refused', async (_, forge) => {
    const forgery = await forge();
    const answer = await ask(forgery);
    expectProblem(answer, 401, 'unauthenticated');
    expect(answer.headers.get('www-authenticate')).toBe(forgery === '' ? 'Bearer' : 'Bearer error="invalid_token"');
  });

  test('that is too long is told so', async () => {
    const { body } = await ask(await issuer.token({ claims: { padding: 'x'.repeat(9_000) } }));
    expect(body).toMatchObject({ detail: 'The Authorization header is longer than 8192 characters.' });
  });

  test('with a NUL in it does not even arrive', async () => {
    const head = 'GET /orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n';
    const token = await issuer.token();
    expectProblem(await raw(api.port, `${head}Authorization: ${token}\u0000\r\n\r\n`), 400, 'malformed-request');
  });

  test.each([
    ['a good one and garbage', async () => [await issuer.token(), 'Bearer a.b.c']],
    ['a good one twice', async () => Array(2).fill(await issuer.token())],
  ])('in one of two Authorization headers (%s) is refused', async (_, both) => {
    const headers = (await both()).map((token) => `Authorization: ${token}\r\n`).join('');
    const answer = await raw(
      api.port,
      `GET /orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n`,
    );
    expectProblem(answer, 401, 'unauthenticated');
  });

  test('anywhere but in the Authorization header is not looked at', async () => {
    const token = (await issuer.token()).replace('Bearer ', '');
    expectProblem(await api.get(`/orders/x?access_token=${token}`), 401, 'unauthenticated');
    expectProblem(await api.get('/orders', { cookie: `access_token=${token}` }), 401, 'unauthenticated');
    expectProblem(await api.get('/orders', { 'x-access-token': token }), 401, 'unauthenticated');
    expectProblem(await api.send('POST', '/orders', { ...ORDER, access_token: token }), 401, 'unauthenticated');
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

/** A token of a stranger's key, whose header helps to find it. */
async function bringOwnKey(header: (own: Keys) => object): Promise<string> {
  const own = { ...(await newKeys('RS256')), kid: 'own' };
  return issuer.token({ subject: 'eve', roles: ['operator'], keys: own, header: header(own) });
}

/** The same claims and signature under a changed header. */
function reheaded(token: string, changed: object): string {
  const [head = '', ...rest] = token.replace('Bearer ', '').split('.');
  return `Bearer ${[segment({ ...JSON.parse(Buffer.from(head, 'base64url').toString()), ...changed }), ...rest].join('.')}`;
}

const graft = (token: string, other: string) => token.replace(/[^.]*$/, String(other.split('.')[2]));

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
    const later = performance.now() + 31_000; // unknown keys are asked for at most every 30 s
    jest.spyOn(performance, 'now').mockImplementation(() => later);
    expect((await ask(await issuer.token({ keys: next }))).status).toBe(200);
    expect((await ask(old)).status).toBe(200);
  });

  test.each<[string, () => Promise<object | undefined>]>([
    ['the key server does not answer', async () => ({ jwksUrl: `http://127.0.0.1:${await closedPort()}/jwks` })],
    [
      'the issuer does not answer',
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

  test('that are withdrawn are taken no more, once ours are old', async () => {
    const keys = await newKeys('ES256');
    issuer.publish(keys);
    const fresh = await trusting();
    const token = await issuer.token({ keys });
    expect((await ask(token, fresh)).status).toBe(200);
    issuer.withdraw(keys);
    const later = performance.now() + 11 * 60_000;
    jest.spyOn(performance, 'now').mockImplementation(() => later);
    expectProblem(await ask(token, fresh), 401, 'unauthenticated');
  });

  test('are not asked for by every token of an unknown key', async () => {
    const fresh = await trusting();
    await ask(await issuer.token(), fresh);
    const before = issuer.asked();
    const stranger = await newKeys('RS256');
    const flood = Array.from({ length: 100 }, async (_, i) =>
      ask(await issuer.token({ keys: { ...stranger, kid: `made-up-${i}` } }), fresh),
    );
    for (const answer of await Promise.all(flood)) expectProblem(answer, 401, 'unauthenticated');
    expect(issuer.asked()).toBe(before);
    const later = performance.now() + 31_000;
    jest.spyOn(performance, 'now').mockImplementation(() => later);
    for (let i = 0; i < 5; i++)
      expectProblem(
        await ask(await issuer.token({ keys: { ...stranger, kid: `late-${i}` } }), fresh),
        401,
        'unauthenticated',
      );
    expect(issuer.asked()).toBe(before + 1);
  });

  test.each(['<html>', '', '[]', '{}', '{"keys":null}', '{"keys":[42]}', '{"keys":[', 'x'.repeat(1_000_000)])(
    'are not taken from garbage, and the old ones stay: %.20s',
    async (garbage) => {
      const fresh = await trusting();
      expect((await ask(await issuer.token(), fresh)).status).toBe(200);
      issuer.babble(garbage);
      const later = performance.now() + 11 * 60_000;
      jest.spyOn(performance, 'now').mockImplementation(() => later);
      expect((await ask(await issuer.token(), fresh)).status).toBe(200);
      expectProblem(await ask(await issuer.token(), await trusting()), 503, 'unavailable');
    },
  );

  test('that are slow to come delay no caller whose token the old ones verify', async () => {
    const fresh = await trusting();
    const token = await issuer.token();
    expect((await ask(token, fresh)).status).toBe(200);
    issuer.hang();
    const later = performance.now() + 11 * 60_000;
    jest.spyOn(performance, 'now').mockImplementation(() => later);
    const began = Date.now();
    expect((await ask(token, fresh)).status).toBe(200);
    expect(Date.now() - began).toBeLessThan(4_000); // the issuer is given up after 5 s
  });

  test('that were missing are taken once they are there', async () => {
    const patient = await trusting();
    issuer.fail(500);
    expectProblem(await ask(await issuer.token(), patient), 503, 'unavailable');
    issuer.repair();
    const later = performance.now() + 1_100; // an issuer that fails is asked once a second
    jest.spyOn(performance, 'now').mockImplementation(() => later);
    expect((await ask(await issuer.token(), patient)).status).toBe(200);
  });

  test('are kept through the issuer’s outage, however long', async () => {
    const token = await issuer.token();
    expect((await ask(token)).status).toBe(200);
    issuer.fail(500);
    const later = performance.now() + 11 * 60_000;
    jest.spyOn(performance, 'now').mockImplementation(() => later);
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
