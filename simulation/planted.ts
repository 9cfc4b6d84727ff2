/** Planted bugs: one line each of the built product, or of the world, and the invariant that catches it first. Made in memory. */
import type { Change } from './product.js';
import type { Planted } from './saga.js';

/** `seeds`: how many it may take, if it takes what is rare; `tape`: the way there, where finding it again would take too long. */
export type PlantedBug = {
  name: string;
  caughtBy: string;
  change?: Change;
  world?: Planted;
  seeds?: number;
  tape?: readonly number[];
};
const bundle = (find: string, put: string): Change => ({ file: 'workflow-bundle.js', find, put });

export const PLANTED: readonly PlantedBug[] = [
  {
    name: 'an order that is found confirmed is unwound all the same',
    caughtBy: 'always ends',
    change: bundle("if (decided.outcome === 'confirmed')\n            return confirmedAfterAll(saga);", ''),
  },
  {
    name: 'a saga is not listed when it parks',
    caughtBy: 'parked is seen',
    change: bundle('progress.markAs(type);', 'progress.markAs(type); if (name) return;'),
  },
  {
    name: 'each attempt charges under a key of its own',
    caughtBy: 'one charge',
    change: {
      file: 'activities/payments.js',
      find: 'idempotencyKey: chargeKey(orderId),',
      put: 'idempotencyKey: chargeKey(orderId) + activityInfo().currentAttemptScheduledTimestampMs,',
    },
  },
  {
    name: 'an undo does not ask which attempts may still run',
    caughtBy: 'money',
    seeds: 4_000,
    change: { file: 'activities/payments.js', find: 'held.length === 0 && mayRunUntil !== null', put: 'false' },
  },
  {
    name: 'a late charge is not given back by its own step',
    caughtBy: 'money',
    seeds: 2_000,
    change: { file: 'activities/payments.js', find: "if (recorded.outcome === 'refused')", put: 'if (false)' },
  },
  {
    name: 'an undo overlooks what its look-up has found',
    caughtBy: 'money',
    change: { file: 'activities/payments.js', find: 'return held.map(({ reference }) => reference)', put: 'return []' },
  },
  {
    name: 'the gateway forgets its keys',
    caughtBy: 'one charge',
    world: { gatewayForgetsKeys: true },
  },
  {
    name: 'the log does not hear of a decision that the saga’s end overtook',
    caughtBy: 'log',
    change: bundle('late !== unanswered &&', 'false &&'),
    tape: [3, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1], // seed 3268 of its day
  },
  {
    name: 'the undos stop one short',
    caughtBy: 'always ends',
    change: bundle('for (const undo of undos)', 'for (const undo of undos.slice(0, -1))'),
  },
  {
    name: 'a saga that is carried on from its history undoes in another order',
    caughtBy: 'replay',
    change: bundle(
      'takeBack(saga, undosFor(saga, why), reason)',
      'takeBack(saga, globalThis.__TEMPORAL_ACTIVATOR__.info.unsafe.isReplaying ? undosFor(saga, why).reverse() : undosFor(saga, why), reason)',
    ),
  },
];
