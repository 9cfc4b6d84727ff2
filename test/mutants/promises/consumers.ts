import type { Mutant } from '../mutant.js';

const KIT = 'test/examples/kit.test.ts';

export default [
  {
    id: 'forgotten-events-had-again',
    promise: 'The example consumers’ inbox forgets, and has nothing twice for that.',
    file: 'examples/consumers/kit/inbox.mjs',
    find: 'OR NOT EXISTS (SELECT FROM horizons WHERE consumer = $1 AND forgotten_before > $4)',
    replace: 'OR true OR $4::timestamptz IS NULL',
    test: KIT,
    name: 'what is sent again after the inbox has forgotten it has no second effect, and someone is asked',
  },
  {
    id: 'held-orders-forgotten',
    promise: 'An order that is held by a dead letter is not forgotten.',
    file: 'examples/consumers/kit/inbox.mjs',
    find: ' AND isempty(held)',
    replace: '',
    test: KIT,
    name: 'a dead letter is replayed with its effect, once, however long ago it was',
  },
  {
    id: 'passes-on-behind-dead-letters',
    promise: 'An order’s later events are held behind its dead letter.',
    file: 'examples/consumers/kit/inbox.mjs',
    find: "return { outcome: 'behind', heldFrom };",
    replace: 'heldFrom.toString();',
    test: KIT,
    name: 'a confirmed order that is cancelled has sold nothing, and its cancellation waits behind a dead letter of its own',
  },
  {
    id: 'erased-customers-come-back',
    promise: 'An order that is told after its customer’s erasure does not bring the customer back.',
    file: 'examples/consumers/kit/effect.mjs',
    find: 'WHERE NOT EXISTS (SELECT FROM erased WHERE consumer = $1 AND customer_reference = $3)',
    replace: '',
    test: KIT,
    name: 'a customer who is erased is kept nowhere, and comes back with no event that is delivered later',
  },
  {
    id: 'no-back-pressure',
    promise: 'A consumer takes no more into its hands than it may.',
    file: 'examples/consumers/webhook.mjs',
    find: ' || kit.lanes.isFull()',
    replace: '',
    test: KIT,
    name: 'with as much in hand as it may have, it asks its sender to wait; while its database is away, too',
  },
] satisfies Mutant[];
