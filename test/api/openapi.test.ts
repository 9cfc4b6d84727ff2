import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fastJsonStringify from 'fast-json-stringify';
import { PERMISSIONS, ROLES } from '../../api/access/permissions.js';
import { PROBLEMS } from '../../api/http/problems.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { type Answer, startTestApi, type TestApi } from '../support/api.js';
import { breakingChanges } from '../support/breaking-changes.js';
import { stock } from '../support/database.js';
import {
  createConformanceCheck,
  createValidators,
  type OpenApi,
  operationsOf,
  resolve,
  type Schema,
} from '../support/openapi.js';

let api: TestApi;
let document: OpenApi;
let judge: ReturnType<typeof createConformanceCheck>;
let id: string;
beforeAll(async () => {
  api = await startTestApi({ temporalUiUrl: 'http://127.0.0.1:8233' });
  document = (await api.get<OpenApi>('/openapi.json')).body;
  judge = createConformanceCheck(document);
  await stock(api.db, 'SKU-KEYBOARD', 100);
  id = (await api.place({ items: [{ sku: 'SKU-KEYBOARD', quantity: 1 }] })).body.id;
});
afterAll(() => api.stop());

const routeOf = (method: string, path: string) => `${method} ${path.replace(/\{(\w+)\}/g, ':$1')}`;

/** Claims that the answer is one that the document promises. */
function expectDocumented(answer: Answer<unknown>, method: string, path: string): void {
  const operation = operationsOf(document).find((o) => o.method === method && o.path === path);
  const complaint = operation ? judge(operation, answer) : 'the operation is not documented';
  expect({ method, path, status: answer.status, complaint }).toEqual({ method, path, status: answer.status });
}

describe('the document', () => {
  test('is the one that is committed: `npm run openapi` after a change', async () => {
    expect(document).toEqual(JSON.parse(await readFile('api/openapi.json', 'utf8')));
  });

  test('is OpenAPI 3.1, and every operation says what it is for', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d$/);
    expect(document.info).toMatchObject({ title: 'order-saga', version: expect.any(String) });
    for (const operation of operationsOf(document)) {
      expect(operation).toMatchObject({
        summary: expect.stringMatching(/./),
        tags: [expect.any(String)],
      });
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining([expect.stringMatching(/^2\d\d$/)]));
    }
  });

  test('has the routes of the table of permissions, and no others', () => {
    const documented = operationsOf(document).map(({ method, path }) => routeOf(method, path));
    const hidden = ['GET /openapi.json', 'GET /problems/:code'];
    expect([...documented, ...hidden].sort()).toEqual(Object.keys(PERMISSIONS).sort());
  });

  test('has no reference that leads nowhere', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => String(match[1]));
    for (const reference of references) {
      const found = reference
        .split('/')
        .slice(1)
        .reduce<unknown>((node, key) => (node as Schema | undefined)?.[key], document);
      expect([reference, found]).toEqual([reference, expect.anything()]);
    }
  });

  test('has only schemas by which an answer can be written, and a request read: a process tries that at the first of them', () => {
    const { components } = document;
    const validatorOf = createValidators(document);
    for (const { method, path, responses, parameters = [] } of operationsOf(document)) {
      for (const { schema } of parameters) validatorOf(schema);
      for (const [status, { content = {} }] of Object.entries(responses))
        for (const [type, { schema }] of Object.entries(content))
          expect([method, path, status, type, fastJsonStringify({ ...schema, components } as object)]).toEqual(
            expect.arrayContaining([expect.any(Function)]),
          );
    }
  });

  test('names the roles that the table of permissions lets in, and shows the problems of a caller without a token or a role', () => {
    for (const { method, path, security, responses } of operationsOf(document)) {
      const allowed = PERMISSIONS[routeOf(method, path)];
      expect({ method, path, security }).toEqual({
        method,
        path,
        security: allowed === 'open' ? [] : [{ bearer: allowed }],
      });
      if (allowed !== 'open') expect(Object.keys(responses)).toEqual(expect.arrayContaining(['401', '403']));
    }
    expect(document.components).toHaveProperty('securitySchemes.bearer.scheme', 'bearer');
    expect(operationsOf(document).flatMap((o) => o.security.flatMap((s) => s.bearer ?? []))).toEqual(
      expect.arrayContaining([...ROLES]),
    );
  });

  test('gives every problem under its own status, with an example that is one', () => {
    const validatorOf = createValidators(document);
    for (const { responses } of operationsOf(document))
      for (const [status, { content = {} }] of Object.entries(responses))
        for (const code of Object.keys(content['application/problem+json']?.examples ?? {})) {
          const { value } = document.components.examples[code] as { value: { status: number } };
          expect({ code, status: value.status }).toEqual({ code, status: Number(status) });
          expect(validatorOf({ $ref: '#/components/schemas/Problem' })(value)).toBe(true);
        }
    expect(Object.keys(document.components.examples).sort()).toEqual(Object.keys(PROBLEMS).sort());
  });

  test('gives for every body an example, which works', async () => {
    const validatorOf = createValidators(document);
    for (const { method, path, requestBody } of operationsOf(document)) {
      const schema = requestBody?.content['application/json']?.schema;
      if (!schema) continue;
      const examples = (resolve(document, schema)['examples'] as object[] | undefined) ?? [];
      expect({ method, path, examples }).toEqual({ method, path, examples: [expect.any(Object)] });
      for (const example of examples) {
        expect([path, validatorOf(schema)(example)]).toEqual([path, true]);
        // What operators decide takes a saga that is stuck; that is proven elsewhere.
        if (path.startsWith('/admin/')) continue;
        const answer = await api.send(method, path.replace('{sku}', 'SKU-KEYBOARD').replace('{id}', id), example);
        expect([path, method, answer.status < 300 ? 'works' : answer.text]).toEqual([path, method, 'works']);
        expectDocumented(answer, method, path);
      }
    }
  });
});

describe('the last release', () => {
  test('is not broken for its clients; what must be broken is a new major version', async () => {
    const [last] = (await readdir('api/released')).sort(byVersion).reverse();
    const released = JSON.parse(await readFile(`api/released/${last}`, 'utf8')) as OpenApi;
    if (majorOf(released) !== majorOf(document)) return;
    expect(breakingChanges(released, document).filter((change) => !TAKEN_BACK.test(change))).toEqual([]);
  });

  test('has the version of its package', async () => {
    expect(document.info.version).toBe(JSON.parse(await readFile('package.json', 'utf8')).version);
  });

  /**
   * /readyz names no neighbours any more: they stand on the metrics port. A client that reads `ready` sees no change. Texts are
   * refused with what steers a terminal in them: no person types it.
   */
  const TAKEN_BACK =
    /^GET \/readyz: answer \d+\/(database|temporal|workers): is |: the body\/(reason|name): pattern is .*u202e/;
  const majorOf = ({ info }: OpenApi) => info.version.split('.')[0];
  const byVersion = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });
});

describe('an answer is what the document promises:', () => {
  test('as a stream', async () => {
    for (const [path, at] of [
      ['/events', '/events'],
      ['/orders/{id}/events', `/orders/${id}/events`],
    ] as const) {
      const { response, close } = await api.stream(at);
      expectDocumented({ status: response.status, headers: response.headers, text: '', body: undefined }, 'GET', path);
      close();
    }
  });

  test('orders, pending and cancelled', async () => {
    expectDocumented(await api.get(`/orders/${id}`), 'GET', '/orders/{id}');
    const { body } = await api.place({ items: [{ sku: 'SKU-KEYBOARD', quantity: 1 }], externalOrderId: 'cancelled' });
    await beginUnwinding(api.db, body.id, { reason: 'OPERATOR' });
    await cancelOrder(api.db, body.id);
    expectDocumented(await api.get(`/orders/${body.id}`), 'GET', '/orders/{id}');
    expectDocumented(await api.get('/orders'), 'GET', '/orders');
    expectDocumented(await api.get('/orders?limit=1'), 'GET', '/orders');
  });

  test.each([
    ['/orders/{id}/saga', () => `/orders/${id}/saga`],
    ['/orders/{id}/events', () => `/orders/${id}/events`],
    ['/events', () => '/events'],
    ['/inventory', () => '/inventory'],
    ['/inventory/{sku}', () => '/inventory/SKU-KEYBOARD'],
    ['/livez', () => '/livez'],
    ['/readyz', () => '/readyz'],
  ])('%s', async (path, at) => {
    expectDocumented(await api.get(at()), 'GET', path);
  });

  test('problems', async () => {
    expectDocumented(await api.get('/orders/none'), 'GET', '/orders/{id}');
    expectDocumented(await api.get('/orders?limit=0'), 'GET', '/orders');
    expectDocumented(await api.get('/events?after=x'), 'GET', '/events');
    expectDocumented(await api.place({ items: [] }), 'POST', '/orders');
    expectDocumented(
      await api.place({ externalOrderId: 'cancelled', items: [{ sku: 'SKU-KEYBOARD', quantity: 1 }] }),
      'POST',
      '/orders',
    );
    expectDocumented(await api.send('PUT', '/inventory/SKU-KEYBOARD', {}), 'PUT', '/inventory/{sku}');
  });
});

describe('the browsable documentation', () => {
  test('is served whole from here, under a policy that lets nothing else in', async () => {
    const page = await api.get('/docs');
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const policy = String(page.headers.get('content-security-policy'));
    expect(policy).toContain("default-src 'self'");
    expect(policy).not.toMatch(/https?:|unsafe|\*|upgrade-insecure-requests/);
    const parts = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => String(match[1]));
    expect(parts).toEqual(
      expect.arrayContaining([
        expect.stringContaining('swagger-ui-bundle.js'),
        expect.stringContaining('swagger-ui.css'),
      ]),
    );
    for (const part of parts) {
      expect(part).toMatch(/^\/docs\//);
      expect([part, (await api.get(part)).status]).toEqual([part, 200]);
    }
  });

  test('shows this document', async () => {
    expect((await api.get('/docs/json')).body).toEqual(document);
    expect((await api.get('/docs/static/swagger-initializer.js')).text).not.toMatch(/petstore/);
  });
});
