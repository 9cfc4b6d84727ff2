/** A person with orders, of whom every text has a canary in it, and an eraser that is run by the test. */
import type { Order } from '../../contracts/orders.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { reserveInventory, releaseInventory } from '../../domain/inventory.js';
import { cancelOrder, requestCancellation } from '../../domain/orders.js';
import { recordCharge, recordDecline, recordNothingToRefund, shutPayment } from '../../domain/payments.js';
import { FIRST_RUN } from '../../domain/saga-log.js';
import type { LedgerRefund } from '../../gateways/payments.js';
import type { DatabaseClient } from '../../runtime/database.js';
import { type EraserMoment, type EraserSettings, eraseOnce } from '../../workers/eraser.js';
import { type Answer, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { stock } from '../support/database.js';
import { eventually } from '../support/conditions.js';

export type Erasure = {
  id: string;
  state: 'waiting' | 'erasing' | 'done';
  found: boolean;
  customerReference: string | null;
  requestedBy: string;
  reason: string;
  waitingFor: { orderId: string; why: string; operationId?: string }[];
  waitingForCount: number;
  stalledBy: string | null;
  report: { erased: Record<string, number>; kept: unknown[] } | null;
  // biome-ignore lint/suspicious/noExplicitAny: tests say what they expect in it
  certificate: any;
};

export const AUDIT_KEY = 'a-key-of-the-audit-trail-that-is-long-enough';
export const KEYS = auditKeys([AUDIT_KEY]);
/** What was begun before is over sooner in a test. */
export const SETTLE_MS = 50;

export type Stage = {
  api: TestApi;
  db: DatabaseClient;
  /** Refunds at the gateway, by charge. */
  refunds: Map<string, Pick<LedgerRefund, 'status'>[]>;
  parked: Set<string>;
  ask(customerId: string, body?: object, headers?: Record<string, string>): Promise<Answer<Erasure>>;
  read(id: string): Promise<Erasure>;
  /** Runs the eraser until the erasure has come to that state. */
  until(id: string, state: Erasure['state']): Promise<Erasure>;
  erase(pass?: (moment: EraserMoment, id: string) => void, more?: Partial<EraserSettings>): Promise<void>;
  /** Places an order of a person, with texts that have the canary in them. */
  place(customerId: string, canary: string, changed?: object): Promise<Order>;
  stop(): Promise<void>;
};

export async function startStage(settings: Parameters<typeof startTestApi>[0] = {}): Promise<Stage> {
  const api = await startTestApi({ auditKeys: KEYS, ...settings });
  const db = api.db as unknown as DatabaseClient;
  await stock(db, 'KEYBOARD', 1_000_000);
  const refunds: Stage['refunds'] = new Map();
  const parked = new Set<string>();
  const erase: Stage['erase'] = async (pass, more = {}) => {
    await eraseOnce({
      ...{ db, keys: KEYS, everyMs: 50, settleMs: SETTLE_MS, batchMax: 2, logger: SILENT },
      gateway: { readRefunds: async (charge) => (refunds.get(charge) ?? []) as LedgerRefund[] },
      listParked: async (ids) => new Set(ids.filter((id) => parked.has(id))),
      ...(pass && { pass }),
      ...more,
    });
  };
  const read = async (id: string) => (await api.get<Erasure>(`/admin/erasures/${id}`)).body;
  return {
    ...{ api, db, refunds, parked, erase, read },
    ask: (customerId, body = { operator: 'op-7', reason: 'ticket 4711' }, headers = {}) =>
      api.send<Erasure>('POST', `/admin/customers/${encodeURIComponent(customerId)}/erase`, body, headers),
    until: (id, state) =>
      eventually(`the erasure is ${state}`, async () => {
        await erase();
        const erasure = await read(id);
        return erasure.state === state && erasure;
      }),
    place: async (customerId, canary, changed = {}) => {
      const headers = { 'idempotency-key': `key-${canary}`, 'x-correlation-id': `corr-${canary}` };
      const texts = {
        customerId,
        externalOrderId: `ext-${canary}`,
        paymentMethod: `pm_${canary.replaceAll('-', '_')}`,
      };
      const answer = await api.place({ ...texts, ...changed }, headers);
      if (answer.status !== 201) throw new Error(`not placed: ${answer.text}`);
      return answer.body;
    },
    stop: () => api.stop(),
  };
}

/** Each as its saga would. */
export async function confirm({ db }: Stage, { id }: Order): Promise<void> {
  await reserveInventory(db, id);
  await recordCharge(db, id, `pi_${id}`);
  await confirmOrder(db, id);
}

export async function decline({ db }: Stage, { id }: Order): Promise<void> {
  await reserveInventory(db, id);
  await recordDecline(db, id, 'card_declined');
  await requestCancellation(db, id, { reason: 'PAYMENT_DECLINED' });
  await unwind(db, id);
}

export async function cancel({ db }: Stage, { id }: Order, message: string, actor: string): Promise<void> {
  await reserveInventory(db, id);
  await requestCancellation(db, id, { reason: 'CANCELLED_BY_CUSTOMER', message, actor, detail: message });
  await unwind(db, id);
}

async function unwind(db: DatabaseClient, id: string): Promise<void> {
  await shutPayment(db, id);
  await recordNothingToRefund(db, id, FIRST_RUN);
  await releaseInventory(db, id);
  await cancelOrder(db, id);
}

/** All that is in the database, as a dump would have it. */
export async function dump(db: DatabaseClient): Promise<string> {
  const tables = await db.$queryRaw<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()`;
  const texts = await Promise.all(
    tables.map(async ({ name }) => {
      const [row] = await db.$queryRawUnsafe<{ rows: string }[]>(
        `SELECT coalesce(string_agg(t::text, E'\\n'), '') AS rows FROM "${name}" t`,
      );
      return `${name}:\n${row?.rows}`;
    }),
  );
  return texts.join('\n');
}
