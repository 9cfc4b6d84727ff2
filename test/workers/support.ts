/** What reconciling takes, real: Postgres, and the payment sandbox over HTTP with a clock that a test can set. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Order } from '../../contracts/orders.js';
import type { Database } from '../../domain/database.js';
import { releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder, confirmOrder } from '../../domain/orders.js';
import { recordCharge, shutPayment } from '../../domain/payments.js';
import type { PaymentGateway, PaymentLedger } from '../../gateways/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { createSandbox } from '../../sandbox/server.js';
import { type Counts, type Reconciler, reconcileOnce } from '../../workers/reconciliation.js';
import { accept, createTestDatabase, stock } from '../support/database.js';

export type Books = {
  db: Database;
  databaseUrl: string;
  gateway: PaymentGateway & PaymentLedger;
  /** Moves the gateway's clock, against ours; it never runs backwards. */
  setClock(offsetMs: number): void;
  /** A pass of a reconciler that has just started. */
  reconcile(changed?: Partial<Reconciler>, orderIds?: string[]): Promise<Counts>;
  reconciler(changed?: Partial<Reconciler>): Reconciler;
  pending(): Promise<Order>;
  /** An order as its saga leaves it, and its charge. */
  confirmed(): Promise<{ order: Order; reference: string }>;
  cancelled(): Promise<Order>;
  /** Money that arrives at the gateway in an order's name, with nobody of ours knowing. */
  takeMoney(orderId: string, changed?: { amount?: number; paymentMethod?: string }): Promise<string>;
  /** A charge that waits for its customer to authenticate, as a worker that dies at this moment leaves it. */
  leaveOpen(orderId: string): Promise<string>;
  ledger(orderId: string): Promise<{ captured: number; refunded: number; net: number; refunds: unknown[] }>;
  fault(fault: object): Promise<void>;
  heal(): Promise<void>;
  stop(): Promise<void>;
};

export const SILENT = pino({ level: 'silent' });

export async function openBooks(): Promise<Books> {
  const database = await createTestDatabase();
  const { db } = database;
  await stock(db, 'A', 1_000);
  const dataDir = await mkdtemp(join(tmpdir(), 'order-saga-books-'));
  let offsetMs = 0;
  const now = () => Date.now() + offsetMs;
  const sandbox = await createSandbox({ dataDir, logger: SILENT, searchLagMs: 0, processingMs: 1_000, now });
  await sandbox.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(sandbox.server.address() as AddressInfo).port}`;
  const gateway = createPaymentGateway({ url, apiKey: 'sk_test_books', timeoutMs: 2_000 });
  const charge = (order: Order, idempotencyKey: string) =>
    gateway.charge({ ...requestOf(order.id), amount: order.total.amount, idempotencyKey });
  const pending = () => accept(db, { A: 1 });
  const reconciler = (changed: Partial<Reconciler> = {}): Reconciler => ({
    db,
    gateway,
    logger: SILENT,
    owner: randomUUID(),
    ...changed,
  });
  return {
    db,
    databaseUrl: database.url,
    gateway,
    pending,
    reconciler,
    setClock: (ms) => {
      offsetMs = ms;
    },
    reconcile: async (changed, orderIds) => {
      // Whoever held the lease has ended: its tests are elsewhere.
      await db.$executeRaw`UPDATE reconciliation_cursors SET lease_owner = NULL`;
      return reconcileOnce(reconciler(changed), orderIds);
    },
    confirmed: async () => {
      const order = await pending();
      await reserveInventory(db, order.id);
      const charged = await charge(order, `${order.id}/charge`);
      if (charged.outcome !== 'charged') throw new Error('the charge was declined');
      await recordCharge(db, order.id, charged.reference);
      await confirmOrder(db, order.id);
      return { order, reference: charged.reference };
    },
    cancelled: async () => {
      const order = await pending();
      await beginUnwinding(db, order.id, { reason: 'CANCELLED_BY_CUSTOMER' });
      await shutPayment(db, order.id);
      await releaseInventory(db, order.id);
      await cancelOrder(db, order.id);
      return order;
    },
    takeMoney: async (orderId, changed = {}) => {
      await gateway.charge({ ...requestOf(orderId), ...changed, idempotencyKey: randomUUID() }).catch(() => undefined);
      const found = await gateway.findCharges(orderId);
      const newest = found[0];
      if (!newest) throw new Error(`there is no charge of ${orderId}`);
      return newest.reference;
    },
    leaveOpen: async (orderId) => {
      const form = {
        amount: '1000',
        currency: 'usd',
        confirm: 'true',
        payment_method: 'pm_card_authenticationRequired',
      };
      const answer = await fetch(`${url}/v1/payment_intents`, {
        method: 'POST',
        headers: { authorization: 'Bearer sk_test_books' },
        body: new URLSearchParams({ ...form, 'metadata[orderId]': orderId }),
      });
      return ((await answer.json()) as { id: string }).id;
    },
    ledger: async (orderId) =>
      (await (await fetch(`${url}/sandbox/ledger?orderId=${orderId}`)).json()) as Awaited<ReturnType<Books['ledger']>>,
    fault: async (fault) => {
      const answer = await fetch(`${url}/sandbox/faults`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(fault),
      });
      if (!answer.ok) throw new Error(await answer.text());
    },
    heal: async () => {
      await fetch(`${url}/sandbox/faults`, { method: 'DELETE' });
    },
    stop: async () => {
      await sandbox.close();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

const requestOf = (orderId: string) => ({
  orderId,
  amount: 1_000,
  currency: 'USD',
  paymentMethod: 'pm_card_visa',
  since: new Date(),
});

/** The finding about a charge, without what differs from run to run. */
export async function findingsOf(db: Database, orderId: string) {
  const rows = await db.reconciliationFinding.findMany({ where: { orderId }, orderBy: { id: 'asc' } });
  return rows.map(({ kind, gatewayReference, action }) => [kind, gatewayReference, action]);
}
