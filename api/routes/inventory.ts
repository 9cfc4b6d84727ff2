/** Catalogue and stock over HTTP. */
import { type Static, Type } from 'typebox';
import { entryOfSku } from '../../domain/audit/changes.js';
import { listInventory, readSku } from '../../domain/inventory.js';
import { refusePrice } from '../../domain/prices.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { problemResponses } from '../openapi/problems.js';
import { Cursor, decodeCursor, Limit, Next, page } from '../http/pages.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { Currency, SKU, SkuName } from '../http/schemas.js';

const SkuSchema = Type.Object(
  {
    sku: Type.String(),
    name: Type.String(),
    unitPrice: Type.Integer({ description: 'In the currency’s minor unit' }),
    currency: Type.String(),
    onHand: Type.Integer({ description: 'All that was ever stocked: available + reserved + sold' }),
    available: Type.Integer(),
    reserved: Type.Integer(),
    sold: Type.Integer(),
  },
  { $id: 'Sku' },
);

const SkuEntry = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\ud800-\\udfff]+$' }),
    unitPrice: Type.Integer({ minimum: 0, maximum: 99_999_999 }),
    currency: Currency,
    onHand: Type.Integer({ minimum: 0, maximum: 1_000_000_000_000 }),
  },
  {
    $id: 'SkuEntry',
    additionalProperties: false,
    examples: [{ name: 'Mechanical keyboard', unitPrice: 4900, currency: 'USD', onHand: 500 }],
  },
);

const SkuParams = Type.Object({ sku: SkuName });

export function inventoryRoutes(app: Api, deps: ApiDependencies): void {
  listRoute(app, deps);
  readRoute(app, deps);
  putRoute(app, deps);
}

function listRoute(app: Api, { db }: ApiDependencies): void {
  app.get(
    '/inventory',
    {
      schema: {
        summary: 'List the catalogue with its stock',
        tags: ['inventory'],
        querystring: Type.Object({ limit: Limit, cursor: Type.Optional(Cursor) }, { additionalProperties: false }),
        response: { 200: Type.Object({ items: Type.Array(SkuSchema), next: Next }), '4xx': ProblemSchema },
      },
    },
    async ({ query: { limit, cursor } }) => {
      const after = cursor === undefined ? undefined : decodeCursor(cursor, SKU);
      const { rows, next } = page(await listInventory(db, after, limit + 1), limit, (row) => row.sku);
      return { items: rows, next };
    },
  );
}

function readRoute(app: Api, { db }: ApiDependencies): void {
  app.get(
    '/inventory/:sku',
    {
      schema: {
        summary: 'Read a SKU',
        tags: ['inventory'],
        params: SkuParams,
        response: { 200: SkuSchema, '4xx': ProblemSchema },
      },
    },
    async ({ params: { sku } }) => {
      const entry = await readSku(db, sku);
      if (!entry) throw new Problem('not-found', `There is no SKU ${sku}.`);
      return entry;
    },
  );
}

function putRoute(app: Api, { auditor }: ApiDependencies): void {
  app.put(
    '/inventory/:sku',
    {
      schema: {
        summary: 'Create or change a SKU',
        tags: ['inventory'],
        params: SkuParams,
        body: SkuEntry,
        response: {
          200: SkuSchema,
          '4xx': problemResponses('stock-committed', 'unsupported-currency', 'unsupported-unit-price'),
        },
      },
    },
    async (request) => {
      const entry = request.body as Static<typeof SkuEntry>;
      const refusal = refusePrice(entry);
      if (refusal)
        throw new Problem(refusal.code, `${refusal.field}: ${refusal.detail}.`, {
          errors: [{ pointer: `/${refusal.field}`, detail: refusal.detail }],
        });
      const stored = await auditor.act(request, entryOfSku(request.params.sku, entry));
      if (!stored)
        throw new Problem('stock-committed', `More than ${entry.onHand} pieces are reserved or sold already.`);
      return stored;
    },
  );
}
