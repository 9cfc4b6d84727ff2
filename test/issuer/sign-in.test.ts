/** Signing in with a browser, as its client sees it: authorization code with PKCE. The page itself is clicked in test/console. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { decodeJwt } from 'jose';
import { type AuthorizationRequest, createGrants } from '../../issuer/authorization.js';
import { createClients } from '../../issuer/clients.js';
import { cleanUp, createConformanceCheck, newFolder, type Running, startIssuer } from './support.js';

const REDIRECT = 'http://127.0.0.1:3000/console/';
const VERIFIER = randomBytes(32).toString('base64url');
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');
const ASKED = {
  response_type: 'code',
  client_id: 'console',
  redirect_uri: REDIRECT,
  scope: 'openid',
  state: 'the state',
  nonce: 'the nonce',
  code_challenge: CHALLENGE,
  code_challenge_method: 'S256',
};
const CHOSEN = { sub: 'ada', roles: 'operator', ttl: '5m', choice: 'sign-in' };

let issuer: Running;
beforeEach(async () => {
  issuer = await startIssuer(await newFolder());
});
afterEach(cleanUp);

const authorizeUrl = (asked: Record<string, string>) => `${issuer.url}/authorize?${new URLSearchParams(asked)}`;

/** What the browser is sent back with. */
async function choose(chosen: Record<string, string> = CHOSEN, asked: Record<string, string> = ASKED) {
  const body = new URLSearchParams(chosen);
  const answer = await fetch(authorizeUrl(asked), { method: 'POST', body, redirect: 'manual' });
  const location = answer.headers.get('location');
  return { status: answer.status, text: await answer.text(), back: location === null ? null : new URL(location) };
}

type Tokens = Record<'access_token' | 'id_token' | 'refresh_token' | 'error' | 'error_description', string>;

async function exchange(changes: Record<string, string>): Promise<{ status: number; body: Tokens }> {
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: 'console',
    redirect_uri: REDIRECT,
    code_verifier: VERIFIER,
    ...changes,
  });
  const answer = await fetch(`${issuer.url}/token`, {
    method: 'POST',
    body,
    headers: { origin: 'http://127.0.0.1:3000' },
  });
  return { status: answer.status, body: (await answer.json()) as Tokens };
}

const codeOf = async (...choice: Parameters<typeof choose>) =>
  (await choose(...choice)).back?.searchParams.get('code') ?? '';

describe('a code', () => {
  it('brings its client, once, a token that the API takes for whom and what was chosen', async () => {
    const { status, back } = await choose();
    expect([status, `${back?.origin}${back?.pathname}`]).toEqual([303, REDIRECT]);
    expect(Object.fromEntries(back?.searchParams ?? [])).toEqual({
      code: expect.any(String),
      state: 'the state',
      iss: issuer.url,
    });
    const code = back?.searchParams.get('code') ?? '';
    const { body } = await exchange({ code });
    expect(await createConformanceCheck(issuer)(body.access_token)).toMatchObject({
      subject: 'ada',
      roles: ['operator'],
    });
    expect(decodeJwt(body.id_token)).toMatchObject({ aud: 'console', sub: 'ada', nonce: 'the nonce', iss: issuer.url });
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 300 });
    expect(body.refresh_token).toBeUndefined();
    expect(await exchange({ code })).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  it.each([
    ['verifier', { code_verifier: randomBytes(32).toString('base64url') }],
    ['client', { client_id: 'another' }],
    ['page', { redirect_uri: `${REDIRECT}?` }],
  ])('is refused with another %s than it was asked for with, and spent', async (_, change) => {
    const code = await codeOf();
    expect(await exchange({ code, ...change })).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await exchange({ code })).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  it('is good for a minute', () => {
    let now = 0;
    const grants = createGrants(() => now);
    const request: AuthorizationRequest = { clientId: 'c', redirectUri: REDIRECT, scope: [], challenge: CHALLENGE };
    const grant = () => grants.grant(request, { sub: 'a', roles: [], ttlMs: 1_000, authenticatedAtMs: 0 });
    const redeem = (code: string) =>
      grants.redeem({ code, client_id: 'c', redirect_uri: REDIRECT, code_verifier: VERIFIER });
    const [soon, late] = [grant(), grant()];
    now = 59_999;
    expect(redeem(soon).chosen.sub).toBe('a');
    now = 60_000;
    expect(() => redeem(late)).toThrow('older than a minute');
  });

  it('of a client that asks for offline_access is renewed, each renewal once', async () => {
    const code = await codeOf(CHOSEN, { ...ASKED, scope: 'openid offline_access' });
    const first = (await exchange({ code })).body.refresh_token;
    const renew = (refresh_token: string, client_id = 'console') =>
      exchange({ grant_type: 'refresh_token', refresh_token, client_id });
    const { body } = await renew(first);
    expect(await createConformanceCheck(issuer)(body.access_token)).toMatchObject({
      subject: 'ada',
      roles: ['operator'],
    });
    expect(await renew(first)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await renew(body.refresh_token, 'another')).toMatchObject({ status: 400 });
  });
});

describe('the page on which one chooses', () => {
  it('runs nothing, is framed by nobody, leads back to its client alone, and shows what it is given as text', async () => {
    const answer = await fetch(authorizeUrl({ ...ASKED, login_hint: '"><script>alert(1)</script>' }));
    expect(answer.headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src '${/sha256-[^']+/.exec(answer.headers.get('content-security-policy') ?? '')?.[0]}'; ` +
        "form-action 'self' http://127.0.0.1:3000; base-uri 'none'; frame-ancestors 'none'",
    );
    const page = await answer.text();
    expect(page).not.toContain('<script');
    expect(page).toContain('&#60;script&#62;');
  });

  it('says what is wrong with a choice, and asks again', async () => {
    const { status, text, back } = await choose({ ...CHOSEN, ttl: 'for ever' });
    expect([status, back]).toEqual([400, null]);
    expect(text).toMatch(/ttl.*must be a duration[\s\S]*<form/);
  });

  it.each([
    ['http://127.0.0.1:3000/console/', true],
    ['http://localhost/console/', true],
    ['https://orders.localhost/console/', true],
    ['http://[::1]:3000/console/', true],
    ['https://orders.example/console/', true],
    ['https://orders.example/console/?', false],
    ['https://orders.example/', false],
    ['https://orders.example.evil.example/console/', false],
    ['http://127.0.0.1@evil.example/console/', false],
    ['http://127.0.0.1.evil.example/', false],
    ['http://localhost.evil.example/', false],
    ['http://127.0.0.1:3000/console/#there', false],
    ['http://127.0.0.1:3000\\@evil.example/', false],
    ['http://127.0.0.1:3000/a/../console/', false],
    ['javascript:alert(1)', false],
    ['/console/', false],
    ['', false],
  ])('leads back to %j: %s', (uri, isKnown) => {
    expect(createClients(['https://orders.example/console/']).isKnown(uri)).toBe(isKnown);
  });

  it('is not shown, and sends nobody anywhere, for an unknown client', async () => {
    const answer = await fetch(authorizeUrl({ ...ASKED, redirect_uri: 'https://evil.example/' }), {
      redirect: 'manual',
    });
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
    expect(await answer.text()).toContain('ISSUER_REDIRECT_URIS');
  });

  it.each([
    ['unsupported_response_type', { response_type: 'token' }],
    ['invalid_request', { code_challenge_method: 'plain' }],
    ['invalid_request', { code_challenge: 'short' }],
    ['login_required', { prompt: 'none' }],
  ])('tells the client %s for %j', async (error, change) => {
    const { back } = await choose(CHOSEN, { ...ASKED, ...change });
    expect(Object.fromEntries(back?.searchParams ?? [])).toMatchObject({ error, state: 'the state', iss: issuer.url });
  });

  it('tells the client that somebody turned away', async () => {
    const { back } = await choose({ ...CHOSEN, choice: 'cancel' });
    expect(back?.searchParams.get('error')).toBe('access_denied');
  });
});

describe('pages of other origins', () => {
  const ask = (path: string, origin: string, init: RequestInit = {}) =>
    fetch(`${issuer.url}${path}`, { ...init, headers: { origin, 'sec-fetch-site': 'cross-site', ...init.headers } });

  it('of this machine read discovery, keys and tokens; strangers’ are refused', async () => {
    for (const path of ['/.well-known/openid-configuration', '/.well-known/jwks.json']) {
      const answer = await ask(path, 'http://localhost:5173');
      expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([
        200,
        'http://localhost:5173',
      ]);
      expect((await ask(path, 'https://evil.example')).status).toBe(403);
    }
    const preflight = await ask('/token', 'http://localhost:5173', { method: 'OPTIONS' });
    expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([204, 'Content-Type']);
    expect((await ask('/token', 'https://evil.example', { method: 'OPTIONS' })).status).toBe(403);
  });

  it('get no token for the asking, nor may they post what nobody has clicked', async () => {
    const body = new URLSearchParams({ sub: 'eve', role: 'operator' });
    const answer = await ask('/token', 'http://localhost:5173', { method: 'POST', body });
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('authorization_code')]);
    const path = `/authorize?${new URLSearchParams(ASKED)}`;
    const posted = { method: 'POST', body: new URLSearchParams(CHOSEN), redirect: 'manual' } as const;
    expect((await ask(path, 'http://localhost:5173', posted)).status).toBe(403);
  });

  it('may have a browser open the page, and not load it in any other way', async () => {
    const path = `/authorize?${new URLSearchParams(ASKED)}`;
    expect(await navigate(path, 'document')).toBe(200);
    expect(await navigate(path, 'iframe')).toBe(403);
    expect(await navigate('/', 'document')).toBe(403);
  });
});

/** As a browser does of its own accord: fetch says of itself that it is a fetch. @returns the status */
async function navigate(path: string, dest: string): Promise<number | undefined> {
  const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': dest };
  const [response] = (await once(get(`${issuer.url}${path}`, { headers }), 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

it('says of itself all that a client needs to find', async () => {
  const document = await (await fetch(`${issuer.url}/.well-known/openid-configuration`)).json();
  expect(document).toMatchObject({
    issuer: issuer.url,
    authorization_endpoint: `${issuer.url}/authorize`,
    token_endpoint: `${issuer.url}/token`,
    end_session_endpoint: `${issuer.url}/logout`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
  });
});

it('leads back to a known page after signing out, and to no other', async () => {
  const out = (uri: string) =>
    fetch(`${issuer.url}/logout?${new URLSearchParams({ post_logout_redirect_uri: uri })}`, { redirect: 'manual' });
  expect((await out(REDIRECT)).headers.get('location')).toBe(REDIRECT);
  expect(await out('https://evil.example/')).toMatchObject({ status: 400 });
});
