/** The data map's part about Postgres: every column of every table, as a test holds against information_schema. */
import { type Fields, LEGAL, type Legal, names, type Store } from './kinds.js';

const DESTROYED = 'destroyed';
const EMPTIED = 'emptied';
const LAPSED = 'emptied by the retention';
const OPERATORS = 'who of the shop did it: an opaque subject id';
const staff = (fields: string, what = OPERATORS): Fields => ({ kind: 'staff', fields: names(fields), what });
const lapsing = (fields: string, what = OPERATORS): Fields => ({ ...staff(fields, what), erased: LAPSED });
const none = (fields: string): Fields => ({ kind: 'none', fields: names(fields) });
const pseudonymous = (fields: string, what?: string): Fields => ({
  kind: 'pseudonymous',
  fields: names(fields),
  ...(what !== undefined && { what }),
});
const personal = (field: string, what: string, erased: string): Fields => ({
  kind: 'personal',
  fields: names(field),
  what,
  erased,
});
const table = (name: string, legal: Legal, ...parts: Fields[]): Store => ({ store: name, ...legal, parts });

const OF_ORDER = 'leads to the order';

export const POSTGRES: readonly Store[] = [
  table(
    'orders',
    LEGAL.order,
    pseudonymous(
      'customer_id',
      'the customer’s reference; of orders older than references the client’s id, until it is replaced (`ops pseudonyms`)',
    ),
    personal('external_order_id', 'the shop’s own number', EMPTIED),
    personal('cancellation_message', 'why, in the customer’s own words or an operator’s', EMPTIED),
    personal('payment_method', 'the provider’s id of it', EMPTIED),
    personal(
      'correlation_id charge_correlation_id traceparent',
      'chosen by the client’s program',
      'replaced by the order’s id, or emptied',
    ),
    pseudonymous('id'),
    none(`status unwinding_reason currency total_amount charge_version installation_id plan_version forward_due event_count
      event_xid saga_started_at created_at updated_at`),
  ),
  table(
    'customers',
    LEGAL.customer,
    personal(
      'client_id',
      'the client’s id of the customer; with `KEY_ENCRYPTION` sealed with the installation’s key',
      DESTROYED,
    ),
    personal('lookup', 'a keyed hash of it, by which it is found', DESTROYED),
    pseudonymous('reference', 'a random number; after an erasure it leads to nobody'),
    none('event_count event_xid erasing_since erased_at created_at'),
  ),
  table(
    'customer_keys',
    LEGAL.customer,
    personal('wrapped', 'the key of the customer’s texts, wrapped by one outside Postgres', DESTROYED),
    pseudonymous('reference'),
    none('version kek_id created_at destroyed_at'),
  ),
  table(
    'erasures',
    LEGAL.erasures,
    lapsing('requested_by reason', 'who of the shop asked for it, and why, without personal data as it was accepted'),
    pseudonymous('reference waiting_for', 'lead to nobody once it is done'),
    none(
      `id state requested_at waiting_count looked_at stalled_by noted_at entombed_at pass_began_at pass_place counts done_at`,
    ),
  ),
  table(
    'erased_keys',
    LEGAL.keys,
    pseudonymous('digest', 'a keyed hash of an Idempotency-Key that was erased'),
    none('expires_at'),
  ),
  table(
    'erased_order_numbers',
    LEGAL.tombstones,
    pseudonymous('digest', 'a keyed hash of a client’s id and an order number, of an order that was not cancelled'),
  ),
  table('order_lines', LEGAL.order, pseudonymous('order_id', OF_ORDER), none('sku line_no quantity unit_price')),
  table(
    'inventory',
    LEGAL.operation,
    none('sku name unit_price currency on_hand_total available reserved sold updated_at'),
  ),
  table('reservations', LEGAL.order, pseudonymous('order_id', OF_ORDER), none('sku quantity state')),
  table(
    'payments',
    LEGAL.order,
    pseudonymous(
      'order_id gateway_reference refund_reference',
      'lead to the order, and to the payment provider’s records',
    ),
    none(`status amount currency decline_code refund_no refund_failures refund_failures_seen refunds_allowed refund_word
      refunded_amount look_up_since look_up_after created_at updated_at`),
  ),
  table(
    'charge_refunds',
    LEGAL.order,
    pseudonymous('order_id gateway_reference'),
    none('refund_no refund_failures refund_failures_seen refunds_allowed refund_word updated_at'),
  ),
  table(
    'step_failures',
    LEGAL.order,
    pseudonymous('order_id'),
    none('id step kind failure message first_attempt last_attempt times first_at last_at'),
  ),
  table('charge_attempts', LEGAL.order, pseudonymous('order_id'), none('id began_at ended_at')),
  table(
    'outbox',
    LEGAL.events,
    personal(
      'data',
      'customerId and externalOrderId of `order.created`; an operator’s id where a step was skipped',
      'customerId is the reference, externalOrderId taken out',
    ),
    personal('correlation_id traceparent', 'chosen by the client’s program', 'replaced by the order’s id, or emptied'),
    pseudonymous('order_id event_id'),
    none('sequence type occurred_at feed_xid feed_position'),
  ),
  table(
    'saga_log',
    LEGAL.log,
    personal('actor', 'who decided: an operator, or the customer who cancelled', 'the customer’s: emptied'),
    personal('detail', 'an operator’s reason, without personal data as it was accepted; what a step met', EMPTIED),
    pseudonymous('order_id'),
    none('id step outcome attempts decision_id at'),
  ),
  table(
    'dead_letters',
    LEGAL.deadLetters,
    personal('error', 'what the destination answered', EMPTIED),
    personal('reason', 'an operator’s, without personal data as it was accepted', EMPTIED),
    lapsing('decided_by'),
    pseudonymous('order_id'),
    none('id destination sequence type cause attempts state parked_at updated_at closed_at'),
  ),
  table(
    'idempotency_keys',
    LEGAL.keys,
    personal('caller', 'the token’s subject: a customer, a service or an operator', 'removed'),
    personal('key', 'chosen by the client’s program', 'removed; a keyed hash stays until it would have expired'),
    personal('response fingerprint', 'the first answer, and a hash of what was asked', 'removed'),
    pseudonymous('order_id answer'),
    none('route status claim locked_until expires_at'),
  ),
  table(
    'idempotency_answers',
    LEGAL.keys,
    personal('response', 'an answer that several keys stand for', 'removed'),
    pseudonymous('digest'),
    none('expires_at'),
  ),
  table(
    'reconciliation_findings',
    LEGAL.findings,
    personal(
      'detail',
      'what the provider’s ledger says; the few sentences of our own that the reconciler goes by stay',
      EMPTIED,
    ),
    pseudonymous('order_id gateway_reference'),
    none('id kind amount currency action at updated_at'),
  ),
  table(
    'reconciliation_closings',
    LEGAL.findings,
    personal('reason', 'an operator’s, without personal data as it was accepted', EMPTIED),
    staff('operator'),
    none('id finding_id action at'),
  ),
  table(
    'audit_trail',
    LEGAL.acts,
    personal('subject source', 'a caller of before the chain, and the address', 'never: nothing is added any more'),
    pseudonymous('resource correlation_id'),
    none('id at first_at route status times hash'),
  ),
  table(
    'audit_acts',
    LEGAL.acts,
    personal(
      'reason',
      'an operator’s, without personal data as it was accepted',
      'emptied, of orders, their dead letters, findings and operations; of an operation at the latest when that goes; the chain goes on being whole',
    ),
    personal(
      'before after',
      'what was changed: an order’s id and status, never the person',
      'never: there is nothing of the person in it',
    ),
    staff('subject subject_hash source source_hash'),
    pseudonymous('resource resource_hash reason_hash correlation_id'),
    none('id at kind route status key_id hash'),
  ),
  table(
    'audit_calls',
    LEGAL.calls,
    personal(
      'subject source',
      'who read or was refused, operators and customers, and the address',
      'emptied; the chain goes on being whole',
    ),
    pseudonymous(
      'resource resource_hash subject_hash source_hash correlation_id',
      'an order’s id, or a customer’s reference',
    ),
    none('id at first_at kind route status times key_id hash'),
  ),
  table(
    'installation',
    LEGAL.operation,
    staff('adopted_by adopted_for', 'who had this database move money, and why'),
    none(`singleton id marker word cluster offered spoken_at server_started_at held_since held_because adopted_at identity_key
      pseudonyms_since pseudonyms_complete_at`),
  ),
  table(
    'relay_cursors',
    LEGAL.operation,
    none('destination partition feed_xid feed_position lease_owner lease_until lease_epoch updated_at'),
  ),
  table('relay_destinations', LEGAL.operation, none('destination configured_at taken_at')),
  table(
    'relay_members',
    LEGAL.operation,
    personal('error', 'what the destination answered last', 'gone when it takes the event, or its relay has ended'),
    none('destination owner alive_until failing_since left_alone_until'),
  ),
  table('feed_horizon', LEGAL.operation, none('singleton feed_xid feed_position occurred_at')),
  table('erasure_journal_mark', LEGAL.operation, none('singleton position hash incarnation read_at')),
  table('progress_marks', LEGAL.operation, none('name reached_at')),
  table('invariant_figures', LEGAL.operation, none('invariant violations since looked_at')),
  table('sealing_passes', LEGAL.operation, none('name opened_at began_at place looked sealed done_at')),
  table('reconciliation_scans', LEGAL.operation, none('scan since until after due_at updated_at')),
  table(
    'reconciliation_cursors',
    LEGAL.operation,
    none(`gateway charges_from charges_newest charges_moved_at refunds_from refunds_newest refunds_moved_at sweep_since sweep_after
      sweep_due_at lease_owner lease_until updated_at`),
  ),
  table(
    'brake_periods',
    LEGAL.acts,
    personal(
      'reason release_reason',
      'an operator’s, without personal data as it was accepted',
      'never: there is nothing of a person in it',
    ),
    staff('engaged_by released_by'),
    none('id brake engaged_at message retry_after_s limits released_at'),
  ),
  table('spending_claims', LEGAL.order, pseudonymous('order_id', OF_ORDER), none('currency amount minute')),
  table('spending_minutes', LEGAL.operation, none('currency minute amount')),
  table(
    'operations',
    LEGAL.operations,
    personal(
      'reason paused_because abort_reason',
      'an operator’s, without personal data as it was accepted',
      'emptied when any of its orders is erased, which waits for its end; goes with the operation after 90 days',
    ),
    staff('previewed_by started_by paused_by aborted_by'),
    none(`id action state selection total amounts skipped previewed_at started_at canary rate_per_second runner paused_at ended_at
      settled_counts`),
  ),
  table(
    'operation_items',
    LEGAL.operations,
    pseudonymous('order_id workflow_id dead_letter_id', OF_ORDER),
    none(
      `operation_id no amount currency seen_state seen_step seen_failure state outcome message begun_at sent_to ended_at`,
    ),
  ),
  table('leases', LEGAL.operation, none('name owner until')),
  table(
    '_prisma_migrations',
    LEGAL.operation,
    none('id checksum finished_at migration_name logs rolled_back_at started_at applied_steps_count'),
  ),
];
