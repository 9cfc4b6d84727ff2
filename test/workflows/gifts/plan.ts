/**
 * The plan of a shop that also wraps gifts: a step in the midst of ours and one after the pivot, which today's orders do not
 * have. It is made of the product's plan, whatever that is, so that a step of the product touches nothing here.
 */
import type { EventType } from '../../../contracts/event-schemas.js';
import { definePlan, PLAN, PLAN_VERSION } from '../../../contracts/plan.js';

const [first, ...others] = PLAN.beforePivot;
const events = { done: 'gift.wrapped' as EventType, undone: 'gift.unwrapped' as EventType };

export const GIFT_PLAN = definePlan({
  ...PLAN,
  beforePivot: [
    first,
    {
      name: 'wrapGift',
      since: PLAN_VERSION + 1,
      undo: 'unwrapGift',
      holds: { table: 'gifts', column: 'state', held: ['WRAPPED', 'ON_ITS_WAY'] },
      events,
      refusals: [],
    },
    ...others,
  ],
  afterPivot: [
    ...PLAN.afterPivot,
    {
      name: 'callCourier',
      since: PLAN_VERSION + 1,
      undo: { none: 'unwrapGift tells the courier, too' },
      events: { done: events.done },
    },
  ],
});
