/**
 * Where each thing goes that a client, a customer or an operator writes: every field of a request, and every place in which its words
 * are found afterwards. A test writes a word of its own into each, takes orders along every path, and searches everything.
 */
export type Flow = { readonly to: readonly string[] };

const places = (text: string): Flow => ({ to: text.split(/\s+/).filter((place) => place !== '') });
const NOWHERE: Flow = { to: [] };

/** By operation and field, as the OpenAPI document names them; headers that any request may have are of `any`. */
export const FLOWS: Readonly<Record<string, Flow>> = {
  'POST /orders header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /orders header.prefer': NOWHERE,
  'POST /orders body.customerId': places('events:data.customerId postgres:customers.client_id'),
  'POST /orders body.items.sku': NOWHERE,
  'POST /orders body.paymentMethod': places('postgres:orders.payment_method'),
  'POST /orders body.externalOrderId': places(
    'events:data.externalOrderId postgres:orders.external_order_id postgres:outbox.data',
  ),
  'POST /orders body.expectedTotal.currency': NOWHERE,
  'GET /orders query.customerId': NOWHERE,
  'GET /orders query.externalOrderId': NOWHERE,
  'GET /orders query.gatewayReference': NOWHERE,
  'GET /orders query.correlationId': NOWHERE,
  'GET /orders query.eventId': NOWHERE,
  'GET /orders query.createdFrom': NOWHERE,
  'GET /orders query.createdTo': NOWHERE,
  'GET /orders query.cursor': NOWHERE,
  'GET /orders/{id} path.id': NOWHERE,
  'GET /orders/{id} header.if-none-match': NOWHERE,
  'GET /customers/{id}/export path.id': NOWHERE,
  'GET /orders/{id}/events query.cursor': NOWHERE,
  'GET /orders/{id}/events path.id': NOWHERE,
  'GET /orders/{id}/events header.last-event-id': NOWHERE,
  'GET /events query.after': NOWHERE,
  'GET /events header.last-event-id': NOWHERE,
  'GET /orders/{id}/saga path.id': NOWHERE,
  'POST /orders/{id}/cancel path.id': places('postgres:audit_calls.resource'),
  'POST /orders/{id}/cancel header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /orders/{id}/cancel body.reason': places('postgres:audit_acts.reason postgres:orders.cancellation_message'),
  'GET /admin/sagas query.step': NOWHERE,
  'GET /admin/sagas query.failure': NOWHERE,
  'GET /admin/sagas query.cursor': NOWHERE,
  'POST /admin/sagas/{id}/resolve path.id': places('postgres:audit_calls.resource'),
  'POST /admin/sagas/{id}/resolve header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/sagas/{id}/resolve body.operator': places(
    'events:data.skippedBy logs:actor postgres:audit_acts.subject postgres:outbox.data postgres:saga_log.actor temporal:activity.skippedBy temporal:update.operator',
  ),
  'POST /admin/sagas/{id}/resolve body.reason': places(
    'postgres:audit_acts.reason postgres:saga_log.detail temporal:update.reason',
  ),
  // What the saga is not marked with, it refuses.
  'POST /admin/sagas/{id}/resolve body.expectedFailure': NOWHERE,
  'GET /admin/orders/{id}/explanation path.id': NOWHERE,
  'GET /admin/orders/{id}/timeline path.id': NOWHERE,
  'GET /admin/search query.q': NOWHERE,
  'GET /admin/orders query.sku': NOWHERE,
  'GET /admin/orders query.heldSku': NOWHERE,
  'GET /admin/orders query.currency': NOWHERE,
  'GET /admin/orders query.createdFrom': NOWHERE,
  'GET /admin/orders query.createdTo': NOWHERE,
  'GET /admin/orders query.cursor': NOWHERE,
  'GET /admin/audit query.after': NOWHERE,
  'GET /admin/audit/entries query.subject': NOWHERE,
  'GET /admin/audit/entries query.resource': NOWHERE,
  'GET /admin/audit/entries query.route': NOWHERE,
  'GET /admin/audit/entries query.from': NOWHERE,
  'GET /admin/audit/entries query.until': NOWHERE,
  'GET /admin/audit/entries query.cursor': NOWHERE,
  'GET /admin/audit/verification query.cursor': NOWHERE,
  'GET /admin/findings query.kind': NOWHERE,
  'GET /admin/findings query.orderId': NOWHERE,
  'GET /admin/findings query.cursor': NOWHERE,
  'POST /admin/findings/close header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/findings/close body.expected.id': NOWHERE,
  'POST /admin/findings/close body.ids': NOWHERE,
  'POST /admin/findings/close body.operator': places(
    'postgres:audit_acts.subject postgres:reconciliation_closings.operator',
  ),
  'POST /admin/findings/close body.reason': places(
    'postgres:audit_acts.reason postgres:reconciliation_closings.reason',
  ),
  'POST /admin/findings/{id}/close path.id': places('postgres:audit_calls.resource'),
  'POST /admin/findings/{id}/close header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/findings/{id}/close body.operator': places(
    'postgres:audit_acts.subject postgres:idempotency_answers.response postgres:reconciliation_closings.operator',
  ),
  'POST /admin/findings/{id}/close body.reason': places(
    'postgres:audit_acts.reason postgres:idempotency_answers.response postgres:reconciliation_closings.reason',
  ),
  'POST /admin/findings/{id}/refund path.id': places('postgres:audit_calls.resource'),
  'POST /admin/findings/{id}/refund header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/findings/{id}/refund body.operator': places(
    'postgres:audit_acts.subject postgres:idempotency_answers.response postgres:reconciliation_closings.operator',
  ),
  'POST /admin/findings/{id}/refund body.reason': places(
    'postgres:audit_acts.reason postgres:idempotency_answers.response postgres:reconciliation_closings.reason',
  ),
  'POST /inventory/{sku}/adjust path.sku': places('postgres:audit_calls.resource'),
  'POST /inventory/{sku}/adjust header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /inventory/{sku}/adjust body.operator': places('postgres:audit_acts.subject'),
  'POST /inventory/{sku}/adjust body.reason': places('postgres:audit_acts.reason'),
  'POST /admin/brakes/{brake}/engage header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/brakes/{brake}/engage body.operator': places(
    'postgres:audit_acts.subject postgres:brake_periods.engaged_by postgres:idempotency_answers.response',
  ),
  'POST /admin/brakes/{brake}/engage body.reason': places(
    'postgres:audit_acts.reason postgres:brake_periods.reason postgres:idempotency_answers.response',
  ),
  'POST /admin/brakes/{brake}/engage body.message': places(
    'postgres:audit_acts.after postgres:audit_acts.before postgres:brake_periods.message postgres:idempotency_answers.response',
  ),
  'POST /admin/brakes/{brake}/release header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/brakes/{brake}/release body.operator': places(
    'postgres:audit_acts.subject postgres:brake_periods.released_by',
  ),
  'POST /admin/brakes/{brake}/release body.reason': places(
    'postgres:audit_acts.reason postgres:brake_periods.release_reason',
  ),
  'GET /admin/dead-letters query.destination': NOWHERE,
  'GET /admin/dead-letters query.type': NOWHERE,
  'GET /admin/dead-letters query.orderId': NOWHERE,
  'GET /admin/dead-letters query.cursor': NOWHERE,
  'POST /admin/dead-letters/{id}/replay path.id': places('postgres:audit_calls.resource'),
  'POST /admin/dead-letters/{id}/replay header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/dead-letters/{id}/replay body.operator': places(
    'logs:actor postgres:audit_acts.subject postgres:idempotency_answers.response postgres:saga_log.actor',
  ),
  'POST /admin/dead-letters/{id}/replay body.reason': places(
    'postgres:audit_acts.reason postgres:idempotency_answers.response postgres:saga_log.detail',
  ),
  'POST /admin/dead-letters/{id}/discard path.id': places('postgres:audit_calls.resource'),
  'POST /admin/dead-letters/{id}/discard header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/dead-letters/{id}/discard body.operator': places(
    'logs:actor postgres:audit_acts.subject postgres:dead_letters.decided_by postgres:idempotency_answers.response postgres:saga_log.actor',
  ),
  'POST /admin/dead-letters/{id}/discard body.reason': places(
    'postgres:audit_acts.reason postgres:dead_letters.reason postgres:idempotency_answers.response postgres:saga_log.detail',
  ),
  'POST /admin/dead-letters/replay header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/dead-letters/replay body.destination': NOWHERE,
  'POST /admin/dead-letters/replay body.type': NOWHERE,
  'POST /admin/dead-letters/replay body.ids': NOWHERE,
  'POST /admin/dead-letters/replay body.operator': places(
    'logs:actor postgres:audit_acts.subject postgres:saga_log.actor',
  ),
  'POST /admin/dead-letters/replay body.reason': places('postgres:audit_acts.reason postgres:saga_log.detail'),
  'POST /admin/dead-letters/discard header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/dead-letters/discard body.ids': NOWHERE,
  'POST /admin/dead-letters/discard body.operator': places(
    'logs:actor postgres:audit_acts.subject postgres:dead_letters.decided_by postgres:saga_log.actor',
  ),
  'POST /admin/dead-letters/discard body.reason': places(
    'postgres:audit_acts.reason postgres:dead_letters.reason postgres:saga_log.detail',
  ),
  'POST /admin/operations/preview body.operator': places(
    'postgres:audit_calls.subject postgres:idempotency_answers.response postgres:operations.previewed_by',
  ),
  'POST /admin/operations/preview body.orderIds': NOWHERE,
  'POST /admin/operations/preview body.sagas.failure': NOWHERE,
  'POST /admin/operations/preview body.deadLetterIds': NOWHERE,
  'POST /admin/operations/preview body.deadLetters.destination': NOWHERE,
  'POST /admin/operations/preview body.deadLetters.type': NOWHERE,
  'POST /admin/operations/preview body.items.operation': NOWHERE,
  'POST /admin/operations header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/operations body.preview': NOWHERE,
  'POST /admin/operations body.operator': places(
    'logs:actor postgres:audit_acts.subject postgres:idempotency_answers.response postgres:operations.started_by postgres:saga_log.actor temporal:update.operator',
  ),
  'POST /admin/operations body.reason': places(
    'postgres:audit_acts.reason postgres:operations.reason postgres:saga_log.detail temporal:update.reason',
  ),
  'POST /admin/operations/{id}/pause path.id': places('postgres:audit_calls.resource'),
  'POST /admin/operations/{id}/pause header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/operations/{id}/pause body.operator': places(
    'postgres:audit_acts.before postgres:audit_acts.subject postgres:idempotency_answers.response',
  ),
  'POST /admin/operations/{id}/pause body.reason': places('postgres:audit_acts.reason'),
  'POST /admin/operations/{id}/resume path.id': places('postgres:audit_calls.resource'),
  'POST /admin/operations/{id}/resume header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/operations/{id}/resume body.operator': places('postgres:audit_acts.subject'),
  'POST /admin/operations/{id}/resume body.reason': places('postgres:audit_acts.reason'),
  'POST /admin/operations/{id}/abort path.id': places('postgres:audit_calls.resource'),
  'POST /admin/operations/{id}/abort header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/operations/{id}/abort body.operator': places(
    'postgres:audit_acts.subject postgres:idempotency_answers.response postgres:operations.aborted_by',
  ),
  'POST /admin/operations/{id}/abort body.reason': places(
    'postgres:audit_acts.reason postgres:operations.abort_reason',
  ),
  'GET /admin/operations query.cursor': NOWHERE,
  'GET /admin/operations/{id} path.id': NOWHERE,
  'GET /admin/operations/{id}/items path.id': NOWHERE,
  'GET /admin/operations/{id}/items query.cursor': NOWHERE,
  'POST /admin/customers/{id}/erase path.id': NOWHERE,
  'POST /admin/customers/{id}/erase header.idempotency-key': places('postgres:idempotency_keys.key'),
  'POST /admin/customers/{id}/erase body.operator': places(
    'postgres:audit_acts.subject postgres:erasures.requested_by postgres:idempotency_answers.response',
  ),
  'POST /admin/customers/{id}/erase body.reason': places(
    'postgres:audit_acts.reason postgres:erasures.reason postgres:idempotency_answers.response',
  ),
  'GET /admin/erasures query.cursor': NOWHERE,
  'GET /admin/erasures/{id} path.id': NOWHERE,
  'GET /inventory query.cursor': NOWHERE,
  'GET /inventory/{sku} path.sku': NOWHERE,
  'GET /inventory/{sku} header.if-none-match': NOWHERE,
  'PUT /inventory/{sku} path.sku': places(
    'events:data.items.sku events:data.skus postgres:audit_acts.after postgres:audit_acts.before postgres:audit_acts.resource postgres:audit_calls.resource postgres:idempotency_answers.response postgres:idempotency_keys.response postgres:inventory.sku postgres:order_lines.sku postgres:outbox.data postgres:reservations.sku',
  ),
  'PUT /inventory/{sku} header.if-match': NOWHERE,
  'PUT /inventory/{sku} header.if-none-match': NOWHERE,
  'PUT /inventory/{sku} body.name': places(
    'postgres:audit_acts.after postgres:audit_acts.before postgres:idempotency_answers.response postgres:inventory.name',
  ),
  'PUT /inventory/{sku} body.currency': NOWHERE,
  'POST /webhooks/payments header.stripe-signature': NOWHERE,
  'any header.x-correlation-id': places(
    'events:correlationid gateway:metadata.correlationId logs:callId logs:correlationId postgres:audit_acts.correlation_id postgres:audit_calls.correlation_id postgres:orders.charge_correlation_id postgres:orders.correlation_id postgres:outbox.correlation_id temporal:activity.correlationId temporal:memo.correlationId',
  ),
  'any header.traceparent': places(
    'events:traceparent logs:traceId postgres:idempotency_answers.response postgres:orders.traceparent postgres:outbox.traceparent temporal:header',
  ),
  'any header.user-agent': NOWHERE,
  'any header.cookie': NOWHERE,
  'any header.x-forwarded-for': places('postgres:audit_acts.source postgres:audit_calls.source'),
  'any header.tracestate': NOWHERE,
  'any header.baggage': NOWHERE,
  'any token.sub of an operator': places(
    'logs:actor postgres:audit_acts.subject postgres:audit_calls.subject postgres:saga_log.actor',
  ),
};
