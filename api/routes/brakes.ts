/** Brakes over HTTP: operators hold back what they must, for as long as they must, and release it. */
import { type Static, Type } from 'typebox';
import {
  BRAKE_MESSAGE_LENGTH_MAX,
  BRAKE_RETRY_AFTER_S,
  BRAKES,
  type BrakeName,
  SPENDING_LIMITS_MAX,
} from '../../contracts/brakes.js';
import { ORDER_TOTAL_MAX } from '../../contracts/orders.js';
import { HELD_QUERY } from '../../contracts/saga.js';
import { brakeEngaged, brakeReleased } from '../../domain/audit/changes.js';
import { type Brake, readBrakes, readSpending, type Spending } from '../../domain/brakes.js';
import { operatorOf } from '../access/permissions.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce } from '../http/idempotency.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { FreeText, NO_PERSONAL_DATA, OperatorId, oneOf, Reason } from '../http/schemas.js';
import { problemResponses } from '../openapi/problems.js';

const ASK_LIMIT_MS = 3_000;

const nullable = Type.Union([Type.String(), Type.Null()]);
const SpendingSchema = Type.Object({
  currency: Type.String(),
  spent: Type.Integer({ description: 'Charged, or let through to be charged, within the last hour; minor unit' }),
  most: Type.Integer({ description: 'The limit; minor unit' }),
});
const BrakeSchema = Type.Object(
  {
    brake: oneOf(
      BRAKES,
      'accepting = no new orders; charging = orders are reserved and not charged; spending = a limit on what is charged within an hour',
    ),
    engaged: Type.Boolean(),
    since: nullable,
    by: nullable,
    reason: nullable,
    message: Type.Optional(nullable),
    retryAfterSeconds: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
    spending: Type.Optional(Type.Array(SpendingSchema)),
  },
  { $id: 'Brake' },
);
const BrakesSchema = Type.Object({
  brakes: Type.Array(BrakeSchema),
  heldOrders: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Orders whose charge waits for a brake; null while Temporal does not say',
  }),
});

const params = Type.Object({ brake: oneOf(BRAKES, 'Which brake') });
const Engaging = Type.Object(
  {
    operator: Type.Optional(OperatorId),
    reason: Reason,
    message: Type.Optional(
      Type.String({
        ...FreeText,
        maxLength: BRAKE_MESSAGE_LENGTH_MAX,
        [NO_PERSONAL_DATA]: true,
        description: 'Of `accepting`: what whoever orders is told',
      }),
    ),
    retryAfterSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: BRAKE_RETRY_AFTER_S.max,
        description: `Of \`accepting\`: when they are told to come again (default ${BRAKE_RETRY_AFTER_S.default})`,
      }),
    ),
    limits: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Z]{3}$' }), Type.Integer({ minimum: 0, maximum: ORDER_TOTAL_MAX }), {
        additionalProperties: false,
        minProperties: 1,
        maxProperties: SPENDING_LIMITS_MAX,
        description: 'Of `spending`: currency → the most that is charged within an hour, in its minor unit',
      }),
    ),
  },
  { $id: 'BrakeEngaging', additionalProperties: false, examples: [{ reason: 'double charges reported, ticket 4711' }] },
);
const Releasing = Type.Object(
  { operator: Type.Optional(OperatorId), reason: Reason },
  { $id: 'BrakeReleasing', additionalProperties: false, examples: [{ reason: 'mended, ticket 4711' }] },
);

export function brakeRoutes(app: Api, deps: ApiDependencies): void {
  app.get(
    '/admin/brakes',
    {
      schema: {
        summary: 'What operators hold back just now',
        tags: ['brakes'],
        response: { 200: BrakesSchema, '4xx': ProblemSchema },
      },
    },
    async () => {
      const [engaged, spending, heldOrders] = await Promise.all([
        readBrakes(deps.db),
        readSpending(deps.db),
        countHeld(deps),
      ]);
      return { brakes: BRAKES.map((name) => describeBrake(name, engaged, spending)), heldOrders };
    },
  );
  engageRoute(app, deps);
  releaseRoute(app, deps);
}

function engageRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/brakes/:brake/engage',
    {
      schema: {
        summary: 'Hold something back, or change what is said of it',
        description:
          'It takes effect with the answer; a charge that is under way by then comes to its end. It lasts until it is released, ' +
          'whatever is restarted. While charges are held, the deadlines of the orders that wait for them stand still.',
        tags: ['brakes'],
        params,
        headers: Type.Object(IdempotencyKeyHeader),
        body: Engaging,
        response: { 200: BrakeSchema, '4xx': problemResponses('not-of-this-brake') },
      },
    },
    async (request, reply) => {
      const { operator, ...said } = request.body as Static<typeof Engaging>;
      const { brake } = request.params as { brake: BrakeName };
      refuseWhatItHasNot(brake, said);
      const by = operatorOf(request.caller, operator);
      const { retryAfterSeconds, ...rest } = said;
      const engaging = {
        ...{ ...rest, brake, operator: by },
        ...(retryAfterSeconds !== undefined && { retryAfterS: retryAfterSeconds }),
      };
      return answerOnce(deps, request, reply, async () => {
        const engaged = await deps.auditor.act(request, brakeEngaged(engaging));
        return { status: 200, body: describeBrake(brake, [engaged], await readSpending(deps.db)) };
      });
    },
  );
}

/** A limit on the wrong brake would be taken for one that holds. */
function refuseWhatItHasNot(brake: BrakeName, said: Partial<Static<typeof Engaging>>): void {
  const refuse = (field: string, detail: string) => {
    throw new Problem('not-of-this-brake', `/${field}: ${detail}`, { errors: [{ pointer: `/${field}`, detail }] });
  };
  if (brake === 'spending' && said.limits === undefined) refuse('limits', 'is what this brake is about');
  if (brake !== 'spending' && said.limits !== undefined) refuse('limits', 'only the brake `spending` has limits');
  if (brake === 'accepting') return;
  for (const field of ['message', 'retryAfterSeconds'] as const)
    if (said[field] !== undefined) refuse(field, 'only who orders is told something: the brake `accepting`');
}

function releaseRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/brakes/:brake/release',
    {
      schema: {
        summary: 'Let go; repeating it is harmless',
        description: 'Held charges go on by themselves, the oldest first: one, then more at a time as they succeed.',
        tags: ['brakes'],
        params,
        headers: Type.Object(IdempotencyKeyHeader),
        body: Releasing,
        response: { 200: BrakeSchema, '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const { operator, reason } = request.body as Static<typeof Releasing>;
      const { brake } = request.params as { brake: BrakeName };
      const by = operatorOf(request.caller, operator);
      return answerOnce(deps, request, reply, async () => {
        await deps.auditor.act(request, brakeReleased({ brake, operator: by, reason }));
        return { status: 200, body: describeBrake(brake, await readBrakes(deps.db), await readSpending(deps.db)) };
      });
    },
  );
}

function describeBrake(brake: BrakeName, engaged: Brake[], spending: Spending[]): Static<typeof BrakeSchema> {
  const now = engaged.find((one) => one.brake === brake);
  return {
    brake,
    engaged: now !== undefined,
    since: now?.since.toISOString() ?? null,
    by: now?.by ?? null,
    reason: now?.reason ?? null,
    ...(brake === 'accepting' && { message: now?.message ?? null, retryAfterSeconds: now?.retryAfterS ?? null }),
    ...(brake === 'spending' && { spending: now ? spending : [] }),
  };
}

async function countHeld({ temporal }: ApiDependencies): Promise<number | null> {
  const client = temporal.client();
  if (!client) return null;
  return client
    .withDeadline(Date.now() + ASK_LIMIT_MS, () => client.workflow.count(HELD_QUERY))
    .then(
      ({ count }) => count,
      () => null,
    );
}
