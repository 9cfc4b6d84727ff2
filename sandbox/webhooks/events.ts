/** Webhook events: what an event says of the entry that it announces, in the provider's shape. */
import { type Entry, type EventType, seconds } from '../ledger/records.js';
import { renderCharge, renderIntent, renderRefund } from '../protocol/render.js';
import { renderDispute } from '../protocol/render-dispute.js';

const API_VERSION = '2026-10-28.endive';

export function renderEvent(id: string, type: EventType, entry: Entry): object {
  return {
    id,
    object: 'event',
    api_version: API_VERSION,
    created: seconds(entry.at),
    data: { object: subjectOf(type, entry), ...previousOf(type, entry) },
    livemode: false,
    pending_webhooks: 1,
    request: { id: entry.outcome?.requestId ?? null, idempotency_key: entry.outcome?.key ?? null },
    type,
  };
}

/** Of the object that changed in this event; the charge beside it has changed too, and has an event of its own. */
const previousOf = (type: EventType, { previous }: Entry) =>
  previous && type !== 'charge.refunded' ? { previous_attributes: previous } : {};

function subjectOf(type: EventType, { intent, charge, refund, dispute }: Entry): object {
  if (type.includes('dispute') && dispute) return renderDispute(dispute);
  if ((type.startsWith('refund.') || type === 'charge.refund.updated') && refund) return renderRefund(refund);
  if (type === 'charge.refunded' && charge) return renderCharge(charge);
  if (intent) return renderIntent(intent);
  throw new Error(`Bug! A '${type}' event without its subject.`);
}
