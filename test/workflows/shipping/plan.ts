/** The plan of a shop that also ships: a step of its own on each side of the pivot, which today's orders do not have. */
import type { EventType } from '../../../contracts/event-schemas.js';
import { definePlan, PLAN } from '../../../contracts/plan.js';

const [reserve, charge] = PLAN.beforePivot;
const events = { done: 'shipment.scheduled' as EventType, undone: 'shipment.cancelled' as EventType };

export const SHIPPING_PLAN = definePlan({
  ...PLAN,
  beforePivot: [
    reserve,
    {
      name: 'scheduleShipment',
      since: 2,
      undo: 'cancelShipment',
      holds: { table: 'shipments', column: 'state', held: ['SCHEDULED', 'ON_ITS_WAY'] },
      events,
      refusals: [],
    },
    charge,
  ],
  afterPivot: [
    {
      name: 'callCarrier',
      since: 2,
      undo: { none: 'cancelShipment tells the carrier, too' },
      events: { done: events.done },
    },
  ],
});
