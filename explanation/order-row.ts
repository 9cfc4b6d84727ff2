/** What Postgres has of one order: its row, money, stock, log, events and findings, in a fixed number of statements. */
import type { Money } from '../contracts/orders.js';
import type { Database } from '../domain/database.js';
import { listOwing } from '../domain/destinations.js';
import type { OrderState } from '../domain/orders.js';
import type { PaymentStatus } from '../domain/payments.js';
import { type Finding, listFindings } from '../domain/reconciliation-findings.js';
import { readStandstillSeconds } from '../domain/stuck-sagas.js';

/** An order has a dozen of each; the newest are read, so that one that went wrong for weeks costs no more. */
const ROWS_MAX = 100;

export type LogEntry = {
  at: string;
  step: string;
  outcome: string;
  attempts: number;
  actor: string | null;
  detail: string | null;
};
export type HeldEvent = {
  id: string;
  destination: string;
  type: string;
  sequence: number;
  state: string;
  cause: string;
  /** What the destination said last, and after how many tries; since when it is held. */
  error: string;
  attempts: number;
  at: string;
};
export type OrderRow = {
  id: string;
  state: OrderState;
  total: Money;
  createdAt: string;
  updatedAt: string;
  sagaStartedAt: string | null;
  installationId: string | null;
  payment: {
    status: PaymentStatus | null;
    gatewayReference: string | null;
    refundReference: string | null;
    /** When its refund was told of as accepted, and not carried out yet. */
    pendingAt: string | null;
    /** null = not known: no refund of ours has returned any. */
    refundedAmount: number | null;
    declineCode: string | null;
    /** When its first outcome was recorded, and its last; null = none is. */
    at: string | null;
    updatedAt: string | null;
  };
  traceparent: string | null;
  reservations: { sku: string; quantity: number; state: string }[];
  /** Oldest first. */
  log: LogEntry[];
  /** Those that retention has not removed, oldest first; `eventCount` = how many there have been. */
  events: { sequence: number; type: string; at: string }[];
  eventCount: number;
  /** Destinations that have not taken all of the events; what a dead letter holds is in `heldEvents`. */
  owing: string[];
  heldEvents: HeldEvent[];
  findings: Finding[];
  /** For how long no step of any order has come to its end. */
  standstillSeconds: number;
};

/** @returns null if there is no such order */
export async function readOrderRow(db: Database, id: string): Promise<OrderRow | null> {
  const newest = { orderBy: { id: 'desc' }, take: ROWS_MAX } as const;
  const [order, events, deadLetters, owing, findings, standstillSeconds] = await Promise.all([
    db.order.findUnique({
      where: { id },
      include: {
        payment: true,
        reservations: { orderBy: { sku: 'asc' }, take: ROWS_MAX },
        sagaLog: newest,
      },
    }),
    db.event.findMany({ where: { orderId: id }, orderBy: { sequence: 'desc' }, take: ROWS_MAX }),
    db.deadLetter.findMany({ where: { orderId: id, closedAt: null }, ...newest }),
    listOwing(db, id),
    listFindings(db, { orderId: id }, ROWS_MAX),
    readStandstillSeconds(db),
  ]);
  if (!order) return null;
  const { payment, sagaLog, totalAmount, currency, ...row } = order;
  return {
    id,
    state: {
      status: row.status as OrderState['status'],
      unwindingReason: row.unwindingReason as OrderState['unwindingReason'],
      forwardDue: row.forwardDue,
      planVersion: row.planVersion,
    },
    total: { amount: Number(totalAmount), currency },
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    sagaStartedAt: row.sagaStartedAt?.toISOString() ?? null,
    installationId: row.installationId,
    payment: {
      status: (payment?.status ?? null) as PaymentStatus | null,
      gatewayReference: payment?.gatewayReference ?? null,
      refundReference: payment?.refundReference ?? null,
      pendingAt: refundPendingAt(events),
      refundedAmount: payment?.refundedAmount == null ? null : Number(payment.refundedAmount),
      declineCode: payment?.declineCode ?? null,
      at: payment?.createdAt.toISOString() ?? null,
      updatedAt: payment?.updatedAt.toISOString() ?? null,
    },
    traceparent: row.traceparent,
    reservations: row.reservations.map(({ sku, quantity, state }) => ({ sku, quantity, state })),
    log: sagaLog.toReversed().map(({ at, step, outcome, attempts, actor, detail }) => ({
      ...{ at: at.toISOString(), step, outcome, attempts, actor, detail },
    })),
    events: events
      .toReversed()
      .map(({ sequence, type, occurredAt }) => ({ sequence, type, at: occurredAt.toISOString() })),
    eventCount: row.eventCount,
    owing,
    heldEvents: deadLetters
      .filter(({ state }) => state === 'PARKED' || state === 'REPLAYING')
      .map(({ id: letter, destination, type, sequence, state, cause, error, attempts, parkedAt }) => ({
        ...{ id: `${letter}`, destination, type, sequence, state, cause },
        ...{ error, attempts, at: parkedAt.toISOString() },
      })),
    findings,
    standstillSeconds,
  };
}

/** What the order's own event says of its refund; the reconciler follows it after that, and writes no other. */
export function refundPendingAt(events: { type: string; data: unknown; occurredAt: Date }[]): string | null {
  const isPending = (data: unknown) => (data as { refundStatus?: unknown } | null)?.refundStatus === 'pending';
  const told = events.find(({ type, data }) => type === 'payment.refunded' && isPending(data));
  return told?.occurredAt.toISOString() ?? null;
}
