/** One order explained to an operator: the same as `ops explain` says, from the same code. */
import { type Static, Type } from 'typebox';
import { explainOrder, type ExplanationSources } from '../../explanation/explain.js';
import { SITUATIONS } from '../../explanation/situation.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { IdParams, OrderStatus, oneOf, UUID } from '../http/schemas.js';

const nullable = Type.Union([Type.String(), Type.Null()]);
const texts = <const K extends string>(...names: K[]) =>
  Object.fromEntries(names.map((name) => [name, Type.String()])) as Record<K, ReturnType<typeof Type.String>>;

export const ExplanationSchema = Type.Object(
  {
    orderId: Type.String(),
    at: Type.String({ description: 'When it was looked' }),
    situation: oneOf(SITUATIONS, 'How the order stands'),
    status: OrderStatus,
    step: Type.Union([Type.String(), Type.Null()], { description: 'The step or undo that it is at' }),
    workflowId: nullable,
    why: Type.Array(Type.String(), {
      description: 'How it stands and why; what there is of its money and its stock last',
    }),
    usual: Type.String({ description: 'What is mostly done of an order that stands so' }),
    happened: Type.Array(
      Type.Object({
        at: Type.String(),
        source: oneOf(['row', 'log', 'event', 'gateway', 'finding'] as const, 'Where that is on record'),
        what: Type.String(),
      }),
    ),
    next: Type.Array(Type.Object({ what: Type.String(), at: nullable, atLatest: Type.Optional(Type.Literal(true)) }), {
      description:
        'What happens if nobody does anything; `at` null = at no time that is known, `atLatest` = by then, or before',
    }),
    choices: Type.Array(
      Type.Object({
        ...texts('command', 'does', 'useWhen', 'money', 'stock', 'customer', 'reversible'),
        usual: Type.Boolean({ description: 'It is what is mostly done; it is the first then' }),
        follows: Type.Union([Type.String(), Type.Null()], {
          description: 'What follows by itself once it has succeeded',
        }),
        http: nullable,
        action: Type.Union([oneOf(['retry', 'skip', 'compensate', 'cancel'] as const, 'An act'), Type.Null()], {
          description: 'Of the order itself: `resolve` takes the first three, `POST /orders/{id}/cancel` is the last',
        }),
        moves: Type.Union([Type.Object({ amount: Type.Integer(), currency: Type.String() }), Type.Null()], {
          description: 'The most that it moves or that is vouched for; null = none, or not known',
        }),
      }),
      { description: 'What an operator may do, and what each costs; what would be refused is not listed' },
    ),
    disagreements: Type.Array(
      Type.Object({
        between: Type.Array(Type.String(), { description: 'Two of row, saga, gateway, events, stock' }),
        ...texts('says', 'sequel'),
      }),
      { description: 'Where the sources do not say the same' },
    ),
    words: Type.Array(Type.Object(texts('word', 'means')), { description: 'The terms in all that is said' }),
    sources: Type.Object(texts('row', 'saga', 'gateway', 'events'), {
      description: 'What each source is good for just now; one that does not answer says so here',
    }),
  },
  { $id: 'Explanation' },
);

/** @returns from where this process explains orders */
export const explanationSources = ({
  db,
  temporal,
  policy,
  explaining = UNREACHED,
}: ApiDependencies): ExplanationSources => ({
  ...{ db, client: temporal.client(), policyOfToday: policy },
  ...explaining,
});

/** A process that knows no gateway says so; the default of PROBE_EVERY stands for the workers' own. */
const UNREACHED = {
  gateway: { why: 'this process has no key of the gateway: `ops explain` asks it' },
  probeEveryMs: 30_000,
};

export function explanationRoutes(app: Api, deps: ApiDependencies): void {
  app.get(
    '/admin/orders/:id/explanation',
    {
      schema: {
        summary: 'Why an order stands as it does, what comes next, what may be done and what it costs',
        description:
          'From its row, its saga, the payment gateway and its events; where these do not agree, that is marked. Changes nothing. ' +
          'Temporal or the gateway being away is part of the answer.',
        tags: ['sagas'],
        params: IdParams,
        response: { 200: ExplanationSchema, '4xx': ProblemSchema },
      },
    },
    async ({ params: { id } }): Promise<Static<typeof ExplanationSchema>> => {
      const explanation = UUID.test(id) ? await explainOrder(explanationSources(deps), id) : null;
      if (explanation === null) throw new Problem('not-found', `There is no order ${id}.`);
      return explanation as Static<typeof ExplanationSchema>;
    },
  );
}
