/** Where an issuer's keys are taken from, how much of it, and how often it is asked. */
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createAuthenticator } from '../../api/access/authentication.js';
import { AUDIENCE, newKeys, startTokenIssuer, type TokenIssuer } from './tokens.js';

let issuer: TokenIssuer;
beforeAll(async () => {
  issuer = await startTokenIssuer();
});
afterEach(() => {
  jest.restoreAllMocks();
  issuer.repair();
});
afterAll(() => issuer.stop());

const DISCOVERY = '/.well-known/openid-configuration';
const JSON_TYPE = { 'content-type': 'application/json' };

/** @returns asks as a caller: the subject, or the code and the cause of the refusal */
function trusting(changed: object = {}) {
  const settings = { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl, ...changed };
  const authenticate = createAuthenticator(settings);
  const warnings: string[] = [];
  const log = { warn: ({ err }: { err: Error }) => warnings.push(String((err.cause as Error)?.message)) };
  const ask = async (authorization?: string): Promise<string> => {
    const token = authorization ?? (await issuer.token());
    const raw = { rawHeaders: ['Authorization', token] };
    return authenticate({ headers: { authorization: token }, raw, log } as never).then(
      ({ subject }) => subject,
      (err: { code: string }) => err.code,
    );
  };
  return { ask, warnings };
}
const discovering = () => trusting({ jwksUrl: undefined });
const later = (ms: number) => {
  const at = performance.now() + ms;
  jest.spyOn(performance, 'now').mockImplementation(() => at);
};

describe('keys are not taken', () => {
  test.each(['http://keys.example/jwks', 'HTTP://10.0.0.7/jwks', 'http://127.0.0.1.example/jwks'])(
    'in plain text from %s, which the issuer itself names',
    async (jwks_uri) => {
      issuer.answer(DISCOVERY, 200, JSON_TYPE, JSON.stringify({ issuer: issuer.url, jwks_uri }));
      const { ask, warnings } = discovering();
      expect(await ask()).toBe('unavailable');
      expect(warnings[0]).toMatch(/AUTH_JWKS_URL.*add issuer to ALLOW_PLAINTEXT/);
    },
  );

  test.each(['data:application/json,{"keys":[]}', 'file:///etc/passwd', '//keys.example', ''])(
    'from what is no address on the web (%s)',
    async (jwks_uri) => {
      issuer.answer(DISCOVERY, 200, JSON_TYPE, JSON.stringify({ issuer: issuer.url, jwks_uri }));
      expect(await discovering().ask()).toBe('unavailable');
    },
  );

  test.each([301, 302, 307, 308])('from where a %i leads, the keys’ or the discovery’s', async (status) => {
    issuer.answer('/moved', 200, JSON_TYPE, JSON.stringify({ keys: [issuer.keys.jwk] }));
    issuer.answer('/jwks', status, { location: `${issuer.url}/moved` });
    expect(await trusting().ask()).toBe('unavailable');
    issuer.repair();
    issuer.answer('/moved', 200, JSON_TYPE, JSON.stringify({ issuer: issuer.url, jwks_uri: issuer.jwksUrl }));
    issuer.answer(DISCOVERY, status, { location: `${issuer.url}/moved` });
    expect(await discovering().ask()).toBe('unavailable');
  });

  test('from a document that is larger than any real one', async () => {
    const padding = 'x'.repeat(300 * 1024);
    issuer.answer('/jwks', 200, JSON_TYPE, JSON.stringify({ keys: [issuer.keys.jwk], padding }));
    const { ask, warnings } = trusting();
    expect(await ask()).toBe('unavailable');
    expect(warnings[0]).toContain('more than');
  });

  test('in secret or for encryption: with such a set alone no caller is let in', async () => {
    const { jwk } = issuer.keys;
    for (const keys of [[], [{ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }], [{ ...jwk, use: 'enc' }]]) {
      issuer.answer('/jwks', 200, JSON_TYPE, JSON.stringify({ keys }));
      expect(await trusting().ask()).toBe('unavailable');
    }
  });
});

test('a set that is suddenly empty does not lock the callers out', async () => {
  const { ask } = trusting();
  expect(await ask()).toBe('cus_42');
  issuer.answer('/jwks', 200, JSON_TYPE, '{"keys":[]}');
  later(11 * 60_000);
  expect(await ask()).toBe('cus_42');
});

test('a key that is published for another algorithm or use verifies nothing', async () => {
  const { jwk } = issuer.keys;
  const other = await newKeys('ES256');
  for (const changed of [{ use: 'enc' }, { alg: 'PS256' }, { key_ops: ['encrypt'] }]) {
    issuer.answer('/jwks', 200, JSON_TYPE, JSON.stringify({ keys: [{ ...jwk, ...changed }, other.jwk] }));
    expect(await trusting().ask()).toBe('unauthenticated');
  }
});

test('a token that names no key is verified by whichever of the issuer’s keys made it', async () => {
  const [second, stranger] = [await newKeys('RS256'), await newKeys('RS256')];
  issuer.publish(second);
  const { ask } = trusting();
  const unnamed = { header: { kid: undefined } };
  expect(await ask(await issuer.token({ ...unnamed }))).toBe('cus_42');
  expect(await ask(await issuer.token({ ...unnamed, keys: second }))).toBe('cus_42');
  expect(await ask(await issuer.token({ ...unnamed, keys: stranger }))).toBe('unauthenticated');
  expect(await ask(await issuer.token({ ...unnamed, keys: second, expiresInS: -60 }))).toBe('unauthenticated');
  issuer.withdraw(second);
});

test('an issuer that answers with failures is asked once a second, however many callers there are', async () => {
  issuer.fail(500);
  const { ask } = trusting();
  const before = issuer.asked();
  for (let i = 0; i < 50; i++) expect(await ask()).toBe('unavailable');
  expect(issuer.asked()).toBe(before + 1);
  issuer.repair();
  later(1_100);
  expect(await ask()).toBe('cus_42');
});

test('while the issuer is away, tokens of made-up keys lock out none whose key is known', async () => {
  const { ask } = trusting();
  const good = await issuer.token();
  expect(await ask(good)).toBe('cus_42');
  issuer.hang();
  later(31_000);
  const stranger = await newKeys('RS256');
  const flood = Array.from({ length: 50 }, async (_, i) =>
    ask(await issuer.token({ keys: { ...stranger, kid: `made-up-${i}` } })),
  );
  const began = Date.now();
  expect(await ask(good)).toBe('cus_42');
  expect(Date.now() - began).toBeLessThan(2_000);
  issuer.fail(500); // what hangs is given up after 5 s
  for (const answer of await Promise.all(flood)) expect(['unavailable', 'unauthenticated']).toContain(answer);
});
