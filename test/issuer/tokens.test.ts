import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  type CryptoKey,
  decodeJwt,
  decodeProtectedHeader,
  exportSPKI,
  importJWK,
  type JWK,
  SignJWT,
  UnsecuredJWT,
} from 'jose';
import { askFor, cleanUp, createConformanceCheck, newFolder, type Running, startIssuer, tokenFor } from './support.js';

afterEach(async () => {
  jest.useRealTimers();
  jest.restoreAllMocks();
  await cleanUp();
});

const UNAUTHENTICATED = { code: 'unauthenticated' };

describe('the API', () => {
  it.each(['RS256', 'ES256'])('takes a token signed with %s, for its subject and its roles', async (alg) => {
    const issuer = await startIssuer(await newFolder());
    const token = await tokenFor(issuer, { sub: 'ada', roles: ['operator', 'auditor'], ttl: '5m', alg });
    expect(decodeProtectedHeader(token)).toMatchObject({ alg, typ: 'at+jwt' });
    expect(await createConformanceCheck(issuer)(token)).toMatchObject({
      subject: 'ada',
      roles: ['operator', 'auditor'],
    });
  });

  it('finds the keys without discovery, where their address is configured', async () => {
    const issuer = await startIssuer(await newFolder());
    const judge = createConformanceCheck(issuer, { jwksUrl: `${issuer.url}/.well-known/jwks.json` });
    expect(await judge(await tokenFor(issuer, { sub: 'cus_42' }))).toMatchObject({
      subject: 'cus_42',
      roles: ['customer'],
    });
  });

  it('gives a role that it does not know no rights', async () => {
    const issuer = await startIssuer(await newFolder());
    const token = await tokenFor(issuer, { sub: 'eve', role: 'superuser' });
    expect(await createConformanceCheck(issuer)(token)).toMatchObject({ subject: 'eve', roles: [] });
  });

  it('refuses a token whose time is over', async () => {
    const issuer = await startIssuer(await newFolder());
    const judge = createConformanceCheck(issuer);
    const token = await tokenFor(issuer, { sub: 'cus_42', ttl: '1m' });
    passTime(60_000 + 29_000);
    expect(await judge(token)).toMatchObject({ subject: 'cus_42' }); // clocks differ
    passTime(2_000);
    await expect(judge(token)).rejects.toMatchObject({ ...UNAUTHENTICATED, message: 'The token has expired.' });
  });

  it('refuses a token for another audience, and one of another issuer', async () => {
    const issuer = await startIssuer(await newFolder());
    const token = await tokenFor(issuer, { sub: 'cus_42' });
    await expect(createConformanceCheck(issuer, { audience: 'another-api' })(token)).rejects.toMatchObject(
      UNAUTHENTICATED,
    );
    const other = await startIssuer(await newFolder());
    await expect(createConformanceCheck(other)(token)).rejects.toMatchObject(UNAUTHENTICATED);
  });

  it('refuses forgeries: no signature, one made with the public key as a secret, a changed payload', async () => {
    const issuer = await startIssuer(await newFolder());
    const judge = createConformanceCheck(issuer);
    const token = await tokenFor(issuer, { sub: 'eve' });
    const claims = { ...decodeJwt(token), roles: ['operator'] };
    const key = await publicKey(issuer, 'RS256');
    const secret = new TextEncoder().encode(await exportSPKI((await importJWK(key)) as CryptoKey));
    const header = { alg: 'HS256', kid: key.kid ?? '' };
    const [head, , signature] = token.split('.');
    const forgeries = [
      `${new UnsecuredJWT(claims).encode()}`,
      `${new UnsecuredJWT(claims).encode()}${signature}`,
      await new SignJWT(claims).setProtectedHeader(header).sign(secret),
      [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.'),
    ];
    for (const forgery of forgeries) await expect(judge(forgery)).rejects.toMatchObject(UNAUTHENTICATED);
    expect(await judge(token)).toMatchObject({ subject: 'eve' });
  });

  it('refuses a key that the issuer has not published', async () => {
    const issuer = await startIssuer(await newFolder());
    const stranger = await startIssuer(await newFolder());
    const judge = createConformanceCheck(issuer, { jwksUrl: `${stranger.url}/.well-known/jwks.json` });
    await expect(judge(await tokenFor(issuer, { sub: 'cus_42' }))).rejects.toMatchObject(UNAUTHENTICATED);
  });

  it('follows a rotation: it takes the new key and no longer the old one', async () => {
    const before = await startIssuer(await newFolder());
    const judge = createConformanceCheck(before);
    const old = await tokenFor(before, { sub: 'cus_42' });
    await judge(old);
    await before.close();
    const after = await startIssuer(await newFolder(), before.port);
    passTime(31_000); // an unknown key is asked for at most every 30 s
    expect(await judge(await tokenFor(after, { sub: 'cus_42' }))).toMatchObject({ subject: 'cus_42' });
    await expect(judge(old)).rejects.toMatchObject(UNAUTHENTICATED);
  });

  it('serves on while the issuer is down, and says so to a caller whose key it has never seen', async () => {
    const issuer = await startIssuer(await newFolder());
    const [knowing, fresh] = [createConformanceCheck(issuer), createConformanceCheck(issuer)];
    const token = await tokenFor(issuer, { sub: 'cus_42' });
    await knowing(token);
    await issuer.close();
    expect(await knowing(token)).toMatchObject({ subject: 'cus_42' });
    await expect(fresh(token)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('a token request', () => {
  it('may be a form, as OAuth clients send it', async () => {
    const issuer = await startIssuer(await newFolder());
    const body = new URLSearchParams('grant_type=client_credentials&sub=shop&roles=service+auditor&ttl=90s');
    const response = await fetch(`${issuer.url}/token`, { method: 'POST', body });
    const { access_token, ...rest } = (await response.json()) as { access_token: string };
    expect(rest).toEqual({ token_type: 'Bearer', expires_in: 90 });
    expect(await createConformanceCheck(issuer)(access_token)).toMatchObject({
      subject: 'shop',
      roles: ['service', 'auditor'],
    });
  });

  it.each([
    [{}, '`sub`'],
    [{ sub: 42 }, '`sub`'],
    [{ sub: 'x'.repeat(129) }, '`sub`'],
    [{ sub: 'a', roles: [1] }, '`role`'],
    [{ sub: 'a', role: 'a b$' }, '`role`'],
    [{ sub: 'a', ttl: 'for ever' }, '`ttl`'],
    [{ sub: 'a', ttl: '3650d' }, '`ttl`'],
    [{ sub: 'a', ttl: '0s' }, '`ttl`'],
    [{ sub: 'a', alg: 'none' }, '`alg`'],
    [[], 'an object'],
  ])('is refused with the name of what is wrong: %j', async (request, named) => {
    const { status, body } = await askFor(await startIssuer(await newFolder()), request);
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(body.error_description).toContain(named);
  });
});

async function publicKey(issuer: Running, alg: string): Promise<JWK> {
  const response = await fetch(`${issuer.url}/.well-known/jwks.json`);
  const { keys } = (await response.json()) as { keys: JWK[] };
  const found = keys.find((key) => key.alg === alg);
  if (!found) throw new Error(`no key for ${alg}`);
  return found;
}

/** Only for reads of the clock; timers and sockets go on as they do. */
function passTime(ms: number): void {
  jest.useFakeTimers({ now: Date.now() + ms, doNotFake: [...TIMERS] });
  const later = performance.now() + ms;
  jest.spyOn(performance, 'now').mockImplementation(() => later);
}
const TIMERS = [
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
] as const;
