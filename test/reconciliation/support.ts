/** What reconciling takes, real: Postgres, and the payment sandbox over HTTP with a clock that a test can set. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { refundKey } from '../../contracts/ids.js';
import type { Order } from '../../contracts/orders.js';
import type { Database } from '../../domain/database.js';
import { releaseInventory, reserveInventory } from '../../domain/inventory.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { recordCharge, shutPayment } from '../../domain/payments.js';
import { nameInstallation, readStanding } from '../../domain/installation.js';
import type { AccountMarker, ChargeRequest, Gateway } from '../../gateways/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { createSandbox } from '../../sandbox/server.js';
import { reconcileOnce } from '../../reconciliation/pass.js';
import type { PassCounts, Reconciler } from '../../reconciliation/pass-state.js';
import { accept, createTestDatabase, stock } from '../support/database.js';

export type TestLedgers = {
  db: Database;
  databaseUrl: string;
  gateway: Gateway & AccountMarker;
  url: string;
  /** By which what is ours is marked. */
  installationId: string;
  /** Moves the gateway's clock, against ours; it never runs backwards. */
  setClock(offsetMs: number): void;
  /** A pass of a reconciler that has just started. */
  reconcile(changed?: Partial<Reconciler>, orderIds?: string[]): Promise<PassCounts>;
  reconciler(changed?: Partial<Reconciler>): Reconciler;
  pending(sku?: string): Promise<Order>;
  /** An order as its saga leaves it, and its charge. */
  confirmed(made?: { sku?: string; paymentMethod?: string }): Promise<{ order: Order; reference: string }>;
  cancelled(): Promise<Order>;
  /** Money that arrives at the gateway by our own charge, of which our database knows nothing. */
  takeMoney(
    orderId: string,
    changed?: { amount?: number; paymentMethod?: string; installationId?: string | null },
  ): Promise<string>;
  /** What our code asks the gateway for to have an order paid. */
  request(orderId: string, changed?: Partial<ChargeRequest['due']>): ChargeRequest;
  /** All of a charge goes back, by our own hand, or by a person's in the gateway's dashboard. */
  giveBack(orderId: string, reference: string): Promise<void>;
  byHand(reference: string, amount?: number): Promise<string>;
  /** The provider's own API, as any program with a key of the account may use it. @returns its answer */
  stripe(
    method: 'GET' | 'POST',
    path: string,
    form?: Record<string, string>,
    idempotencyKey?: string,
  ): Promise<Record<string, unknown>>;
  /** A charge that took money, made with a key of the account: its metadata says who made it, or nothing at all. */
  charged(metadata: Record<string, string>, changed?: Record<string, string>): Promise<string>;
  /** How often each route of the provider's API was asked since the last time. */
  requests(): Promise<Record<string, number>>;
  /** What the sandbox does on request, as the world would by itself. */
  intervene(path: string): Promise<void>;
  /** A charge that waits for its customer to authenticate, as a worker that dies at this moment leaves it. */
  leaveOpen(orderId: string): Promise<string>;
  ledger(orderId: string): Promise<{ captured: number; refunded: number; net: number; refunds: unknown[] }>;
  fault(fault: object): Promise<void>;
  heal(): Promise<void>;
  stop(): Promise<void>;
};

export const SILENT = pino({ level: 'silent' });

export type Setting = {
  /** The gateway's clock, against ours, at first. */
  aheadMs?: number;
  refundFailsAfterMs?: number;
  disputeAfterMs?: number;
  /** The account of other ledgers, by its url, and what this installation is called there. */
  account?: string;
  installationId?: string;
};

export async function openLedgers({
  aheadMs = 0,
  account,
  installationId: name,
  ...timing
}: Setting = {}): Promise<TestLedgers> {
  const database = await createTestDatabase();
  const { db } = database;
  await stock(db, 'A', 1_000);
  const dataDir = await mkdtemp(join(tmpdir(), 'order-saga-ledgers-'));
  let offsetMs = aheadMs;
  const now = () => Date.now() + offsetMs;
  const sandbox = await createSandbox({ dataDir, logger: SILENT, searchLagMs: 0, processingMs: 1_000, now, ...timing });
  if (name !== undefined) await nameInstallation(db, name);
  const { id: installationId } = await readStanding(db);
  await sandbox.listen({ host: '127.0.0.1', port: 0 });
  const url = account ?? `http://127.0.0.1:${(sandbox.server.address() as AddressInfo).port}`;
  const gateway = createPaymentGateway({ url, apiKey: 'sk_test_ledgers', timeoutMs: 2_000 });
  const request: TestLedgers['request'] = (orderId, changed = {}) => ({
    due: { orderId, installationId, amount: 1_000, currency: 'USD', ...changed },
    paymentMethod: 'pm_card_visa',
    idempotencyKey: `${orderId}/charge`,
    since: new Date(),
    lookUp: async () => {
      const dbNow = new Date();
      return { dbNow, spans: [{ from: new Date(dbNow.getTime() - 60_000), until: dbNow }] };
    },
  });
  const stripe: TestLedgers['stripe'] = async (method, path, form, idempotencyKey) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: 'Bearer sk_test_ledgers',
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      },
      ...(form && { body: new URLSearchParams(form) }),
    });
    return (await answer.json()) as Record<string, unknown>;
  };
  const refund = (orderId: string, reference: string) =>
    gateway.refund({
      due: { orderId, installationId },
      chargeReference: reference,
      idempotencyKey: refundKey(orderId, reference, 0),
    });
  const pending = async (sku = 'A') => {
    const order = await accept(db, { [sku]: 1 });
    await reserveInventory(db, order.id);
    return order;
  };
  const reconciler = (changed: Partial<Reconciler> = {}): Reconciler => ({
    db,
    gateway,
    installationId,
    logger: SILENT,
    owner: randomUUID(),
    ...changed,
  });
  return {
    db,
    databaseUrl: database.url,
    gateway,
    url,
    installationId,
    request,
    stripe,
    pending,
    reconciler,
    setClock: (ms) => {
      offsetMs = ms;
    },
    reconcile: async (changed, orderIds) => {
      // The last holder of the lease has ended: leases are tested elsewhere.
      await db.$executeRaw`UPDATE reconciliation_cursors SET lease_owner = NULL`;
      return reconcileOnce(reconciler(changed), orderIds);
    },
    confirmed: async ({ sku, paymentMethod = 'pm_card_visa' } = {}) => {
      const order = await pending(sku);
      const charged = await gateway.charge({ ...request(order.id, { amount: order.total.amount }), paymentMethod });
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
    takeMoney: async (orderId, { paymentMethod = 'pm_card_visa', ...due } = {}) => {
      const made = { ...request(orderId, due), paymentMethod, idempotencyKey: randomUUID() };
      await gateway.charge(made).catch(() => undefined);
      const [newest] = await gateway.findCharges(orderId);
      if (!newest) throw new Error(`there is no charge of ${orderId}`);
      return newest.reference;
    },
    giveBack: async (orderId, reference) => {
      const { outcome } = await refund(orderId, reference);
      if (outcome !== 'done') throw new Error(`the refund was ${outcome}`);
    },
    byHand: async (reference, amount) => {
      const made = await stripe('POST', '/v1/refunds', {
        payment_intent: reference,
        ...(amount !== undefined && { amount: String(amount) }),
      });
      return made['id'] as string;
    },
    intervene: async (path) => {
      const answer = await fetch(`${url}${path}`, { method: 'POST' });
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    },
    charged: async (metadata, changed = {}) => {
      const made = await stripe('POST', '/v1/payment_intents', {
        amount: '1000',
        currency: 'usd',
        confirm: 'true',
        payment_method: 'pm_card_visa',
        ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`metadata[${name}]`, value])),
        ...changed,
      });
      if (typeof made['id'] !== 'string') throw new Error(`no charge was made: ${JSON.stringify(made)}`);
      return made['id'];
    },
    requests: async () => {
      const { counts } = (await (await fetch(`${url}/sandbox/requests`)).json()) as { counts: Record<string, number> };
      await fetch(`${url}/sandbox/requests`, { method: 'DELETE' });
      return counts;
    },
    leaveOpen: async (orderId) => {
      const made = await stripe('POST', '/v1/payment_intents', {
        amount: '1000',
        currency: 'usd',
        confirm: 'true',
        payment_method: 'pm_card_authenticationRequired',
        'metadata[orderId]': orderId,
        'metadata[installationId]': installationId,
        'metadata[purpose]': 'order',
      });
      return made['id'] as string;
    },
    ledger: async (orderId) =>
      (await (await fetch(`${url}/sandbox/ledger?orderId=${orderId}`)).json()) as Awaited<
        ReturnType<TestLedgers['ledger']>
      >,
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

/** The finding about a charge, without what differs from run to run. */
export async function findingsOf(db: Database, orderId: string) {
  const rows = await db.reconciliationFinding.findMany({ where: { orderId }, orderBy: { id: 'asc' } });
  return rows.map(({ kind, gatewayReference, action }) => [kind, gatewayReference, action]);
}
