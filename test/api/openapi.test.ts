import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { PERMISSIONS } from '../../api/permissions.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { type Answer, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';

type Schema = Record<string, unknown>;
type Media = Record<string, { schema: Schema; example?: unknown; examples?: Record<string, { value: unknown }> }>;
type Operation = {
  summary?: string;
  tags?: string[];
  requestBody?: { content: Media };
  responses: Record<string, { content?: Media }>;
};
type OpenApi = {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Schema };
};

let api: TestApi;
let document: OpenApi;
let id: string;
beforeAll(async () => {
  api = await startTestApi({ temporalUiUrl: 'http://127.0.0.1:8233' });
  document = (await api.get<OpenApi>('/openapi.json')).body;
  await stock(api.db, 'SKU-KEYBOARD', 100);
  id = (await api.place({ items: [{ sku: 'SKU-KEYBOARD', quantity: 1 }] })).body.id;
});
afterAll(() => api.stop());

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

/** Claims that the answer is one that the document promises for this status. */
function expectDocumented(answer: Answer<unknown>, method: string, path: string): void {
  const responses = document.paths[path]?.[method]?.responses;
  const promised = responses?.[answer.status] ?? responses?.[`${String(answer.status)[0]}XX`];
  const [type = ''] = (answer.headers.get('content-type') ?? '').split(';');
  const media =
    promised?.content?.[type] ??
    (type === 'application/problem+json' ? promised?.content?.['application/json'] : undefined);
  expect({ method, path, status: answer.status, type, documented: media !== undefined }).toMatchObject({
    documented: true,
  });
  // Strict about what is not named: an answer has no field that the document does not know.
  const ajv = new Ajv({ strict: false, formats: { uuid: /^[0-9a-f-]{36}$/, 'date-time': /^\d{4}-\d\d-\d\dT.*Z$/ } });
  ajv.addSchema({ $id: 'doc', components: closed(document.components) as Schema });
  const validate = ajv.compile(
    JSON.parse(JSON.stringify(closed(media?.schema)).replaceAll('"#/components', '"doc#/components')),
  );
  expect({ method, path, errors: validate(answer.body) ? null : validate.errors }).toEqual({
    method,
    path,
    errors: null,
  });
}

/** The schema, taking no fields but those that it names. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return copy['type'] === 'object' && copy['properties'] ? { additionalProperties: false, ...copy } : copy;
}

describe('the document', () => {
  test('is the one that is committed: `npm run openapi` after a change', async () => {
    expect(document).toEqual(JSON.parse(await readFile('api/openapi.json', 'utf8')));
  });

  test('is OpenAPI 3.1, and every operation says what it is for', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d$/);
    expect(document.info).toMatchObject({ title: 'order-saga', version: expect.any(String) });
    for (const { path, method, operation } of operations()) {
      expect({ path, method, ...operation }).toMatchObject({
        summary: expect.stringMatching(/./),
        tags: [expect.any(String)],
      });
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining([expect.stringMatching(/^2\d\d$/)]));
    }
  });

  test('has the routes of the table of permissions, and no others', () => {
    const documented = operations().map(
      ({ path, method }) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`,
    );
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

  test('gives requests that work', async () => {
    const examples = operations().flatMap(({ path, method, operation }) => {
      const media = operation.requestBody?.content['application/json'];
      const given = [
        ...(media?.example === undefined ? [] : [media.example]),
        ...Object.values(media?.examples ?? {}).map((e) => e.value),
      ];
      return given.map((body) => ({ path, method, body }));
    });
    expect(examples.map(({ path }) => path)).toEqual(expect.arrayContaining(['/orders', '/inventory/{sku}']));
    // What operators decide takes a saga that is stuck; that is proven elsewhere.
    for (const { path, method, body } of examples.filter((example) => !example.path.startsWith('/admin/'))) {
      const answer = await api.send(
        method.toUpperCase(),
        path.replace('{sku}', 'SKU-KEYBOARD').replace('{id}', id),
        body,
      );
      expect([path, method, answer.status >= 200 && answer.status < 300 ? 'works' : answer.text]).toEqual([
        path,
        method,
        'works',
      ]);
      expectDocumented(answer, method, path);
    }
  });
});

describe('an answer is what the document promises:', () => {
  test('orders, pending and cancelled', async () => {
    expectDocumented(await api.get(`/orders/${id}`), 'get', '/orders/{id}');
    const { body } = await api.place({ items: [{ sku: 'SKU-KEYBOARD', quantity: 1 }], externalOrderId: 'cancelled' });
    await beginUnwinding(api.db, body.id, { reason: 'OPERATOR' });
    await cancelOrder(api.db, body.id);
    expectDocumented(await api.get(`/orders/${body.id}`), 'get', '/orders/{id}');
    expectDocumented(await api.get('/orders'), 'get', '/orders');
    expectDocumented(await api.get('/orders?limit=1'), 'get', '/orders');
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
    expectDocumented(await api.get(at()), 'get', path);
  });

  test('problems', async () => {
    expectDocumented(await api.get('/orders/none'), 'get', '/orders/{id}');
    expectDocumented(await api.get('/orders?limit=0'), 'get', '/orders');
    expectDocumented(await api.get('/events?after=x'), 'get', '/events');
    expectDocumented(await api.place({ items: [] }), 'post', '/orders');
    expectDocumented(
      await api.place({ externalOrderId: 'cancelled', items: [{ sku: 'SKU-KEYBOARD', quantity: 1 }] }),
      'post',
      '/orders',
    );
    expectDocumented(await api.send('PUT', '/inventory/SKU-KEYBOARD', {}), 'put', '/inventory/{sku}');
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
