/** Adjusting stock over HTTP: pieces that were found, lost or counted anew, without saying the whole of it, which orders change meanwhile. */
import { type Static, Type } from 'typebox';
import { adjustmentOfStock } from '../../domain/audit/changes.js';
import { readSku } from '../../domain/inventory.js';
import { operatorOf } from '../access/permissions.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce } from '../http/idempotency.js';
import { Problem } from '../http/problems.js';
import { OperatorId, Reason, SkuName } from '../http/schemas.js';
import { problemResponses } from '../openapi/problems.js';
import { SkuSchema } from './inventory.js';

/** As `ops stock adjust` takes it. */
const BY_MAX = 1_000_000_000;

const Adjustment = Type.Object(
  {
    by: Type.Integer({
      minimum: -BY_MAX,
      maximum: BY_MAX,
      not: { const: 0 },
      description: 'Pieces, below 0 if there are fewer; not 0',
    }),
    operator: Type.Optional(OperatorId),
    reason: Reason,
  },
  {
    $id: 'StockAdjustment',
    additionalProperties: false,
    examples: [{ by: -7, operator: 'op-7', reason: 'broken in the warehouse, ticket 12' }],
  },
);

export function stockAdjustmentRoutes(app: Api, deps: ApiDependencies): void {
  const { db, auditor } = deps;
  app.post(
    '/inventory/:sku/adjust',
    {
      schema: {
        summary: 'Add available pieces of a SKU, or remove them',
        description:
          'What is reserved or sold stays so: no more is removed than is available. With an Idempotency-Key it is done once, ' +
          'however often it is sent; without one, each time.',
        tags: ['inventory'],
        params: Type.Object({ sku: SkuName }),
        headers: Type.Object(IdempotencyKeyHeader),
        body: Adjustment,
        response: { 200: SkuSchema, '4xx': problemResponses('not-available', 'too-many-pieces') },
      },
    },
    async (request, reply) => {
      const { sku } = request.params;
      const { by, operator, reason } = request.body as Static<typeof Adjustment>;
      operatorOf(request.caller, operator);
      return answerOnce(deps, request, reply, async (_onceId, keepIn) => {
        const after = await auditor.act(
          request,
          adjustmentOfStock(sku, { by, reason }, (tx, body) => keepIn(tx, { status: 200, body })),
        );
        if (after) return { status: 200, body: after };
        const now = await readSku(db, sku);
        if (now === null) throw new Problem('not-found', `There is no SKU ${sku}.`);
        throw refusal(now, by);
      });
    },
  );
}

function refusal({ sku, onHand, available, reserved, sold }: Static<typeof SkuSchema>, by: number): Problem {
  const detail =
    by > 0
      ? `${sku} cannot be stocked that high: ${onHand} are on hand`
      : `only ${available} of ${sku} are available (${reserved} reserved, ${sold} sold)`;
  const code = by > 0 ? 'too-many-pieces' : 'not-available';
  return new Problem(code, `Nothing was changed: ${detail}.`, { errors: [{ pointer: '/by', detail }] });
}
