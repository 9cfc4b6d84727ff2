// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what is changed is source text
import type { Mutant } from '../mutant.js';

const SAGAS = 'test/workflows/brakes.test.ts';
const SYSTEM = 'test/system/brakes.test.ts';

export default [
  {
    id: 'held-order-times-out',
    promise: 'The deadline of an order whose charge is held stands still.',
    file: 'workflows/steps.ts',
    find: 'if (isHeld(saga.input, failure)) deadline.hold();',
    replace: 'if (isHeld(saga.input, { type: failure.message })) deadline.hold();',
    test: SAGAS,
    name: 'it outlives its deadline, asks nothing of the gateway, and is confirmed when it is let go',
  },
  {
    id: 'held-and-charged',
    promise: 'While operators have stopped charging, nothing is charged.',
    file: 'activities/payments.ts',
    find: "if (heldBy.includes('charging')) throw",
    replace: "if (heldBy.includes('accepting')) throw",
    test: SYSTEM,
    name: 'charging: orders are accepted and reserved, nothing is charged, deadlines stand still, and released they go on in order',
  },
  {
    id: 'accepted-behind-the-brake',
    promise: 'While operators have stopped accepting orders, none is accepted.',
    file: 'domain/acceptance.ts',
    find: "HAVING count(*) = ${items.length}::int AND NOT ${isEngaged('accepting')}",
    replace: 'HAVING count(*) = ${items.length}::int',
    test: SYSTEM,
    name: 'accepting: orders are refused with a text and a time; replays, reads and cancellations go on, and the process is ready',
  },
  {
    id: 'spending-room-seen-twice',
    promise: 'Within an hour no more is charged than the limit, however many charges come at once.',
    file: 'domain/brakes.ts',
    find: '+ ${spentNow(due.currency)} <= ${engaged.most}::bigint',
    replace: '<= ${engaged.most}::bigint',
    test: SYSTEM,
    name: 'spending: no more is charged within the hour than the limit, at once from many; what would be more waits until there is room',
  },
] satisfies Mutant[];
