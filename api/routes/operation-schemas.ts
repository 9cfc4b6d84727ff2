/** Operations in the OpenAPI document. */
import { Type } from 'typebox';
import { DEAD_LETTER_CAUSES } from '../../contracts/dead-letters.js';
import {
  CANARY_DEFAULT,
  CANARY_WAVE_MAX,
  CANARY_WAVES_MAX,
  ITEM_STATES,
  OPERATION_ACTIONS,
  OPERATION_IDS_MAX,
  OPERATION_ITEMS_MAX,
  OPERATION_RATE,
  OPERATION_STATES,
} from '../../contracts/operations.js';
import { STEPS, UNDOS } from '../../contracts/plan.js';
import { NONE } from '../../domain/stuck-sagas.js';
import { MoneySchema, OperatorId, oneOf, Reason } from '../http/schemas.js';

const nullable = (schema: ReturnType<typeof Type.String>) => Type.Union([schema, Type.Null()]);
const text = nullable(Type.String());
const moment = Type.String({ format: 'date-time' });

export const Action = oneOf(
  OPERATION_ACTIONS,
  'Of sagas retry, skip (done by hand) and compensate (unwind now); of dead letters replay and discard',
);
export const State = oneOf(
  OPERATION_STATES,
  'previewed = frozen, and not begun; paused, perhaps by itself; aborted = what had begun comes to its end, and nothing else begins',
);
export const ItemState = oneOf(
  ITEM_STATES,
  'open = not concluded; reached = the order says so; waits = the gateway is still at it; skipped = not tried; already-done = it had come to its end before; refused = nothing has changed; failed = it did not help; unanswered = it may still take effect',
);
const ItemStates = Type.Array(ItemState, { minItems: 1, maxItems: ITEM_STATES.length });
const Uuid = Type.String({ pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' });
const Step = oneOf([...STEPS, ...UNDOS, NONE], 'Only those stuck at this step or undo; `none` = at no step');
const AtMost = Type.Integer({ minimum: 1, maximum: OPERATION_ITEMS_MAX, description: 'The first so many of them' });

const Sagas = Type.Object(
  {
    state: Type.Optional(oneOf(['NEEDS_ATTENTION', 'COMPENSATING'] as const, 'Default NEEDS_ATTENTION')),
    step: Type.Optional(Step),
    failure: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z_]{1,64}$',
        description:
          'Only those stuck for this reason, as the list of sagas groups them; `none` = for none that is known',
      }),
    ),
  },
  { additionalProperties: false, description: 'As GET /admin/sagas lists them: oldest and dearest first' },
);
const DeadLetters = Type.Object(
  {
    destination: Type.Optional(Type.String({ pattern: '^[a-z0-9-]{1,64}$' })),
    cause: Type.Optional(oneOf(DEAD_LETTER_CAUSES, 'Why it is not taken')),
    type: Type.Optional(Type.String({ pattern: '^[a-z.]{1,64}$' })),
  },
  { additionalProperties: false, description: 'Parked ones, oldest first' },
);

export const OperationPreview = Type.Object(
  {
    action: Action,
    operator: Type.Optional(OperatorId),
    orderIds: Type.Optional(Type.Array(Uuid, { minItems: 1, maxItems: OPERATION_IDS_MAX, uniqueItems: true })),
    sagas: Type.Optional(Sagas),
    deadLetterIds: Type.Optional(
      Type.Array(Type.String({ pattern: '^[1-9][0-9]{0,17}$' }), {
        minItems: 1,
        maxItems: OPERATION_IDS_MAX,
        uniqueItems: true,
      }),
    ),
    deadLetters: Type.Optional(DeadLetters),
    items: Type.Optional(
      Type.Object(
        { operation: Uuid, states: ItemStates },
        { additionalProperties: false, description: 'Of an earlier operation: those in these states' },
      ),
    ),
    atMost: Type.Optional(AtMost),
  },
  {
    $id: 'OperationPreview',
    additionalProperties: false,
    examples: [{ action: 'retry', sagas: { step: 'chargePayment', failure: 'GatewayUnknown' } }],
  },
);

export const OperationStart = Type.Object(
  {
    preview: Uuid,
    action: Type.Optional(Action),
    expectedCount: Type.Integer({
      minimum: 1,
      maximum: OPERATION_ITEMS_MAX,
      description: '`counts.open` of the preview: how many you know that you decide on',
    }),
    operator: Type.Optional(OperatorId),
    reason: Reason,
    canary: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: CANARY_WAVE_MAX }), {
        maxItems: CANARY_WAVES_MAX,
        description: `Waves that are tried first; each must go well before the next begins. Default ${CANARY_DEFAULT.join(', ')}; [] = none`,
      }),
    ),
    ratePerSecond: Type.Optional(
      Type.Number({
        minimum: 0.1,
        maximum: OPERATION_RATE.max,
        description: `Begun per second at most; default ${OPERATION_RATE.default}`,
      }),
    ),
  },
  {
    $id: 'OperationStart',
    additionalProperties: false,
    examples: [
      {
        preview: '01a1fc4b-2622-70f0-8b6b-725674f9c1d0',
        expectedCount: 14,
        reason: 'the gateway is back, ticket 4711',
      },
    ],
  },
);

export const OperationWordBody = Type.Object(
  { operator: Type.Optional(OperatorId), reason: Reason },
  {
    $id: 'OperationWord',
    additionalProperties: false,
    examples: [{ reason: 'looking at the first ones, ticket 4711' }],
  },
);

export const OperationSchema = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    action: Action,
    state: State,
    selection: Type.Unknown({ description: 'What was asked for; what it came to are the items, and stays' }),
    previewedAt: moment,
    previewedBy: Type.String(),
    expiresAt: Type.Union([moment, Type.Null()], { description: 'Of a preview: when it can be started no more' }),
    startedAt: nullable(moment),
    startedBy: text,
    reason: text,
    canary: Type.Array(Type.Integer()),
    ratePerSecond: Type.Number(),
    total: Type.Integer({ description: 'Items; the sum of `counts` at every moment' }),
    counts: Type.Object(Object.fromEntries(ITEM_STATES.map((state) => [state, Type.Integer()]))),
    amounts: Type.Array(MoneySchema, { description: 'What is at stake of what is to be acted on, per currency' }),
    skipped: Type.Array(Type.Object({ because: Type.String(), count: Type.Integer() }), {
      description: 'What the preview found that is not acted on, and why',
    }),
    pause: Type.Union(
      [
        Type.Object({
          since: moment,
          by: Type.Union([Type.String(), Type.Null()], { description: 'null = it has paused by itself' }),
          because: Type.String(),
        }),
        Type.Null(),
      ],
      { description: 'While it is paused' },
    ),
    abortedBy: text,
    abortReason: text,
    endedAt: nullable(moment),
  },
  { $id: 'Operation' },
);

export const OperationItemSchema = Type.Object(
  {
    no: Type.Integer(),
    orderId: Type.String({ format: 'uuid' }),
    workflowId: text,
    deadLetterId: text,
    state: ItemState,
    outcome: Type.Union([Type.String(), Type.Null()], { description: 'Its saga’s state, or its letter’s, then' }),
    message: text,
    seen: Type.Object(
      { state: text, step: text, failure: text },
      { description: 'As the preview found it; of a dead letter its state, destination and cause' },
    ),
    total: Type.Union([MoneySchema, Type.Null()]),
    begunAt: nullable(moment),
    endedAt: nullable(moment),
  },
  { $id: 'OperationItem' },
);
