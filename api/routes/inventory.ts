/** Catalogue and stock over HTTP. */
import { type Static, Type } from 'typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { entryOfSku } from '../../domain/audit/changes.js';
import { type ExpectedSku, listInventory, readSku, type Sku } from '../../domain/inventory.js';
import { TEXT } from '../../contracts/texts.js';
import { refusePrice } from '../../domain/prices.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { answerUnlessKnown, permitsChange } from '../http/etags.js';
import { problemResponses } from '../openapi/problems.js';
import { Cursor, decodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { Currency, NO_PERSONAL_DATA, SKU, SkuName } from '../http/schemas.js';

export const SkuSchema = Type.Object(
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
    name: Type.String({
      ...{ minLength: 1, maxLength: 200, pattern: TEXT.source, [NO_PERSONAL_DATA]: true },
      description: 'What it is called; kept for ever with who changed it, and no person’s data',
    }),
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

function listRoute(app: Api, { db, pageBytesMax }: ApiDependencies): void {
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
    async ({ query: { limit, cursor } }, reply) => {
      const after = cursor === undefined ? undefined : decodeCursor(cursor, SKU);
      return sendPage<Sku>(reply, {
        name: 'items',
        schema: SkuSchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => listInventory(db, last?.sku ?? after, rows),
        next: nextBy((row) => row.sku),
      });
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
        headers: Type.Object({
          'if-none-match': Type.Optional(Type.String({ description: 'The ETag that you have' })),
        }),
        response: { 200: SkuSchema, '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const { sku } = request.params;
      const entry = await readSku(db, sku);
      if (!entry) throw new Problem('not-found', `There is no SKU ${sku}.`);
      return answerUnlessKnown(request, reply, entry);
    },
  );
}

function putRoute(app: Api, deps: ApiDependencies): void {
  app.put(
    '/inventory/:sku',
    {
      schema: {
        summary: 'Create or change a SKU',
        description:
          'With `If-Match` only what you have read is changed: any order in between changes it, too. `If-None-Match: *` ' +
          'creates a SKU and changes none.',
        tags: ['inventory'],
        params: SkuParams,
        headers: Type.Object({
          'if-match': Type.Optional(
            Type.String({ description: 'The ETag that the SKU must have, or `*`: it must be there' }),
          ),
          'if-none-match': Type.Optional(Type.String({ description: '`*`: the SKU must not be there' })),
        }),
        body: SkuEntry,
        response: {
          200: SkuSchema,
          '4xx': problemResponses(
            'stock-committed',
            'precondition-failed',
            'unsupported-currency',
            'unsupported-unit-price',
          ),
        },
      },
    },
    async (request, reply) => {
      const entry = request.body as Static<typeof SkuEntry>;
      const refusal = refusePrice(entry);
      if (refusal)
        throw new Problem(refusal.code, `${refusal.field}: ${refusal.detail}.`, {
          errors: [{ pointer: `/${refusal.field}`, detail: refusal.detail }],
        });
      return change(deps, request, reply, { sku: request.params.sku, ...entry });
    },
  );
}

type SkuToPut = Static<typeof SkuEntry> & { sku: string };

/** Each but the first needs a change of the SKU between two statements that its own condition permits. */
const TRIES_MAX = 5;

/** The condition is judged by what was read, and the statement takes effect only if that is what it changes. @throws Problem */
async function change(
  { db, auditor }: ApiDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  { sku, ...entry }: SkuToPut,
) {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers;
  const isConditional = ifMatch !== undefined || ifNoneMatch !== undefined;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const current = isConditional ? await readSku(db, sku) : null;
    if (!permitsChange(request, reply, current)) {
      const found =
        current === null ? 'not there' : ifMatch === undefined ? 'there already' : 'not as you have read it';
      throw new Problem('precondition-failed', `${sku} is ${found}; it was left as it is.`);
    }
    const expected = isConditional ? expectedOf(request, current) : 'anything';
    const stored = await auditor.act(request, entryOfSku(sku, entry, expected));
    if (stored) return stored;
    const now = await readSku(db, sku);
    if (now !== null && entry.onHand < now.reserved + now.sold)
      throw new Problem('stock-committed', `More than ${entry.onHand} pieces are reserved or sold already.`);
  }
  throw new Problem('unavailable', `${sku} is changing all the time just now; it was left as it is.`);
}

/** `*` asks only whether the SKU is there; then a change of its stock in between does not matter. */
const expectedOf = ({ headers }: FastifyRequest, current: Sku | null): ExpectedSku =>
  current === null ? 'absent' : headers['if-match']?.trim() === '*' && !headers['if-none-match'] ? 'present' : current;
