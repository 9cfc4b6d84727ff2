/** Whose JWTs are access tokens: the shapes of known issuers, and what the same issuers sign that is none. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createAuthenticator } from '../../api/access/authentication.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer, type TokenRequest } from './tokens.js';

let issuer: TokenIssuer;
let api: TestApi;
const apis: TestApi[] = [];
const DAY_S = 86_400;
const now = () => Math.floor(Date.now() / 1_000);

async function trusting(changed: object = {}): Promise<TestApi> {
  const authentication = { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl };
  const shared = apis[0] && { db: apis[0].db, databaseUrl: apis[0].databaseUrl };
  const started = await startTestApi({ authentication: { ...authentication, ...changed }, ...shared });
  apis.push(started);
  return started;
}
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await trusting();
});
afterAll(async () => {
  for (const each of apis.reverse()) await each.stop(); // the first one has the database
  await issuer.stop();
});

const ask = async (request: TokenRequest, from = api) =>
  from.get('/orders', { authorization: await issuer.token(request) });
const expectRefused = async (request: TokenRequest, detail: string, from = api) => {
  const answer = await ask(request, from);
  expect(expectProblem(answer, 401, 'unauthenticated').detail).toContain(detail);
  expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"');
};

/** As the issuers' own documentation shows them, with our audience and keys. */
const SHAPES: [string, TokenRequest, object][] = [
  [
    'Auth0’s own profile',
    {
      subject: 'auth0|123456',
      audience: [AUDIENCE, 'https://x.example/userinfo'],
      header: { typ: 'JWT' },
      claims: { azp: 'client', scope: 'openid profile', 'https://shop.example/roles': ['auditor'] },
      roles: [],
    },
    { rolesClaim: 'https://shop.example/roles' },
  ],
  [
    'Auth0’s profile of RFC 9068',
    {
      subject: 'auth0|123456',
      header: { typ: 'at+jwt' },
      claims: { client_id: 'client', jti: '73WakrfVbNJBaAmhQtEeDv', scope: 'openid' },
    },
    {},
  ],
  [
    'Keycloak',
    {
      header: { typ: 'JWT' },
      roles: [],
      claims: {
        typ: 'Bearer',
        azp: 'shop',
        sid: 's',
        acr: '1',
        jti: 'onrtac:4d',
        realm_access: { roles: ['auditor', 'offline_access'] },
        resource_access: { account: { roles: ['view-profile'] } },
        scope: 'openid',
        auth_time: 1_700_000_000,
      },
    },
    { rolesClaim: 'realm_access.roles' },
  ],
  ['Keycloak, told to write at+jwt', { header: { typ: 'at+jwt' }, claims: { typ: 'Bearer', azp: 'shop' } }, {}],
  [
    'Microsoft Entra v2',
    {
      header: { typ: 'JWT' },
      claims: {
        aio: 'A',
        azp: '6e74172b',
        azpacr: '1',
        oid: '690222be',
        rh: 'I',
        scp: 'access_as_user',
        tid: 'fa15d692',
        uti: 'G',
        ver: '2.0',
        nbf: 1_700_000_000,
      },
    },
    {},
  ],
  [
    'Okta',
    {
      claims: {
        ver: 1,
        jti: 'AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE',
        cid: 'nmdP1fcyvdVO11AL7ECm',
        uid: '00ugrenMeqvYla4HW0g3',
        scp: ['openid'],
      },
    },
    {},
  ],
  [
    'Amazon Cognito',
    {
      roles: [],
      claims: {
        'cognito:groups': ['auditor'],
        version: 2,
        client_id: 'xxxx',
        token_use: 'access',
        scope: 'openid',
        auth_time: 1_700_000_000,
        jti: 'j',
        username: 'u',
      },
    },
    { rolesClaim: 'cognito:groups' },
  ],
  ['ZITADEL', { header: { typ: 'at+jwt' }, claims: { client_id: '2527@shop', jti: 'j', nbf: 1_700_000_000 } }, {}],
];

describe('an access token is taken', () => {
  test.each(SHAPES)('of %s', async (_, request, settings) => {
    expect((await ask(request, await trusting(settings))).status).toBe(200);
  });

  test.each(['AT+JWT', 'application/at+jwt', 'Application/AT+JWT', 'jwt', 'application/jwt'])(
    'whose typ is spelled %s',
    async (typ) => {
      expect((await ask({ header: { typ } })).status).toBe(200);
    },
  );

  test('that says at+jwt, whatever else it says of the log-in', async () => {
    expect((await ask({ header: { typ: 'at+jwt' }, claims: { nonce: 'n' } })).status).toBe(200);
  });
});

describe('a token is refused that is none of access:', () => {
  test.each<[string, TokenRequest]>([
    ...['JWT', undefined].flatMap((typ) => {
      const header = typ === undefined ? {} : { typ };
      return (
        [
          ['nonce', { nonce: 'n-0S6_WzA2Mj' }],
          ['at_hash', { at_hash: '77QmUPtjPfzWtF2AnpK9RQ' }],
          ['c_hash', { c_hash: 'LDktKdoQak3Pk0cnXxCltA' }],
          ['events', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }],
        ] as const
      ).map(([name, claims]): [string, TokenRequest] => [`typ ${typ} with ${name}`, { header, claims }]);
    }),
    ['Keycloak’s ID token', { header: { typ: 'JWT' }, claims: { typ: 'ID', azp: 'shop' } }],
    ['Keycloak’s refresh token', { header: { typ: 'JWT' }, claims: { typ: 'Refresh' } }],
    ['Keycloak’s token that takes a proof', { header: { typ: 'JWT' }, claims: { typ: 'DPoP' } }],
    ['Cognito’s ID token', { claims: { token_use: 'id' } }],
    ['one with a null nonce', { claims: { nonce: null } }],
    ...[
      'logout+jwt',
      'secevent+jwt',
      'id+jwt',
      'dpop+jwt',
      'application/okta-internal-at+jwt',
      'at+jwt ',
      'text/at+jwt',
      '',
    ].map((typ): [string, TokenRequest] => [`typ "${typ}"`, { header: { typ } }]),
    ['a typ that is no text', { header: { typ: ['at+jwt'] } }],
  ])('%s', async (_, request) => {
    await expectRefused(request, 'is not an access token');
  });

  test.each<[string, TokenRequest]>([
    ['JWT', { header: { typ: 'JWT' } }],
    ['none', {}],
  ])('with AUTH_REQUIRE_AT_JWT also typ %s', async (_, request) => {
    const strict = await trusting({ requireAtJwt: true });
    await expectRefused(request, 'at+jwt', strict);
    expect((await ask({ header: { typ: 'at+jwt' } }, strict)).status).toBe(200);
  });
});

describe('the age of a token', () => {
  test.each<[string, () => TokenRequest, string]>([
    ['that does not say when it was issued', () => ({ issuedAt: undefined }), '(iat)'],
    ['that says it in words', () => ({ issuedAt: undefined, claims: { iat: '2026-01-01' } }), '(iat)'],
    ['of tomorrow', () => ({ issuedAt: now() + DAY_S }), '(iat)'],
    ['of a minute to come', () => ({ issuedAt: now() + 90 }), '(iat)'],
    ['of eleven days ago, though it has not expired', () => ({ issuedAt: now() - 11 * DAY_S }), 'too long ago (iat)'],
    [
      'of 1970, though it never expires',
      () => ({ issuedAt: 0, expiresInS: undefined, claims: { exp: 1e300 } }),
      'too long ago (iat)',
    ],
  ])('%s is refused', async (_, request, detail) => {
    await expectRefused(request(), detail);
  });

  test.each<[string, () => TokenRequest]>([
    ['of nine days ago', () => ({ issuedAt: now() - 9 * DAY_S })],
    ['of a clock that is ten seconds ahead', () => ({ issuedAt: now() + 10 })],
  ])('%s is taken', async (_, request) => {
    expect((await ask(request())).status).toBe(200);
  });

  test('is limited by AUTH_TOKEN_AGE_MAX', async () => {
    const strict = await trusting({ tokenAgeMaxMs: 60_000 });
    expect((await ask({ issuedAt: now() - 30 }, strict)).status).toBe(200);
    await expectRefused({ issuedAt: now() - 120 }, 'too long ago', strict);
  });
});

describe('a caller', () => {
  /** What the routes are given. */
  const callerOf = async (request: TokenRequest, changed: object = {}) => {
    const settings = {
      issuer: issuer.url,
      audience: AUDIENCE,
      rolesClaim: 'roles',
      jwksUrl: issuer.jwksUrl,
      ...changed,
    };
    const authorization = await issuer.token(request);
    const raw = { rawHeaders: ['Authorization', authorization] };
    return createAuthenticator(settings)({ headers: { authorization }, raw } as never);
  };

  test('is authorised until the token expires', async () => {
    const exp = now() + 600;
    expect((await callerOf({ expiresInS: undefined, claims: { exp } })).expiresAt).toBe(exp * 1_000);
  });

  test('is authorised no longer than a token is taken', async () => {
    const issuedAt = now() - 3 * DAY_S;
    const { expiresAt } = await callerOf({ issuedAt, expiresInS: undefined, claims: { exp: 1e300 } });
    expect(expiresAt).toBe((issuedAt + 10 * DAY_S) * 1_000);
  });

  test('has no end without authentication', async () => {
    expect((await createAuthenticator(undefined)({} as never)).expiresAt).toBeUndefined();
  });

  test.each<[string, unknown]>([
    ['a number', 1],
    ['an object', { operator: true }],
    ['a list of lists', [['operator']]],
    ['a list of objects', [{ name: 'operator' }]],
    ['another case', ['OPERATOR', ' operator']],
    ['text with commas', 'operator,service'],
    ['true', true],
    ['null', null],
    ['a null prototype’s name', ['__proto__', 'constructor']],
  ])('has no role by a claim that is %s', async (_, roles) => {
    expect((await callerOf({ claims: { roles }, roles: undefined as never })).roles).toEqual([]);
  });

  test('has the roles of a path into its claims, and none of a claim of the path’s own name that says otherwise', async () => {
    const claims = { realm_access: { roles: ['operator'] } };
    const nested = { rolesClaim: 'realm_access.roles' };
    expect((await callerOf({ roles: [], claims }, nested)).roles).toEqual(['operator']);
    expect((await callerOf({ roles: [], claims: { ...claims, 'realm_access.roles': [] } }, nested)).roles).toEqual([]);
    expect((await callerOf({ roles: [], claims: {} }, { rolesClaim: 'constructor.name' })).roles).toEqual([]);
  });

  test('is never another because its subject is cut: one that is too long is refused by name', async () => {
    const longest = 'a'.repeat(128);
    expect((await callerOf({ subject: longest })).subject).toBe(longest);
    await expectRefused({ subject: `${longest}b` }, 'longer than 128 characters');
  });

  test.each(['cus\u0000', 'cus\n42', 'cus\u0085', 'cus\u202e42', 'cus\u200b42', 'cus\u2028', '\ud800'])(
    'with the subject %j is refused by name',
    async (subject) => {
      await expectRefused({ subject }, 'control characters');
    },
  );

  test('without the role that a route takes is told so as RFC 6750 has it', async () => {
    const authorization = await issuer.token({ roles: ['customer'] });
    const answer = await api.get('/admin/audit', { authorization });
    expectProblem(answer, 403, 'forbidden');
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"');
  });
});
