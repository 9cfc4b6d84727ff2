/** Clients: each takes the next operation of the plan, and carries it out. */
import type { OperationLog } from '../operation-log.js';
import {
  FIRST_PRICE,
  firstStock,
  type ODD_INPUTS,
  type Operation,
  type OperationKind,
  type PlannedOrder,
  SKUS,
} from '../plan/operations.js';
import { bodyOf, type Caller, createCaller, headersOf } from './caller.js';
import { send } from './http.js';
import { oddRequest } from './odd-input.js';

export type Workload = {
  /** @param began is told how many operations have begun, and holds the client back meanwhile */
  run: (operations: readonly Operation[], began: (count: number) => Promise<void>) => Promise<void>;
  /** Asks again for every order under a key of which nothing is known yet. @returns how many are still not known */
  settle: () => Promise<number>;
  stop: () => void;
};

const CLIENTS = 10;
const AT_ONCE = 8;

export function createWorkload(apis: readonly string[], log: OperationLog): Workload {
  const caller = createCaller(apis, log);
  const ordered = new Map<number, PlannedOrder>();
  return {
    run: async (operations, began) => {
      for (const one of operations) if (one.kind === 'order') ordered.set(one.order.no, one.order);
      let next = 0;
      const client = async () => {
        for (let one = operations[next++]; one && !caller.isStopped(); one = operations[next++]) {
          await began(next);
          await carryOut(caller, ordered, one);
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
    },
    settle: async () => {
      const left = caller.unanswered();
      for (let at = 0; at < left.length; at += AT_ONCE)
        await Promise.all(left.slice(at, at + AT_ONCE).map((placing) => caller.place(placing, 1)));
      return caller.unanswered().length;
    },
    stop: caller.stop,
  };
}

type Act<Kind extends OperationKind> = (
  caller: Caller,
  operation: Extract<Operation, { kind: Kind }>,
  ordered: ReadonlyMap<number, PlannedOrder>,
) => Promise<unknown> | undefined;

const ACTS: { [Kind in OperationKind]: Act<Kind> } = {
  order: (caller, { n, order }) => caller.place({ operation: n, order, kind: 'order' }),
  twin: (caller, { n, twin }) => caller.place({ operation: n, order: twin, kind: 'twin' }),
  repeat: (caller, { n, of }, ordered) => {
    const order = ordered.get(of);
    return order && caller.place({ operation: n, order, kind: 'repeat' }, 1);
  },
  conflict: (caller, { n, of }, ordered) => {
    const order = ordered.get(of);
    if (!order?.key || !caller.ids.has(of)) return undefined;
    const { customerId, key } = order;
    const body = { ...bodyOf(order), paymentMethod: 'pm_card_amex' };
    const request = { operation: n, kind: 'conflict' as const, order: of, customerId, key };
    return caller.ask(request, { method: 'POST', path: '/orders', body, headers: headersOf(key) }, n);
  },
  cancel: (caller, { n, kind, of }) => {
    const orderId = caller.ids.get(of);
    if (orderId === undefined) return undefined;
    const sent = { method: 'POST' as const, path: `/orders/${orderId}/cancel`, body: { reason: 'soak' } };
    return caller.ask({ operation: n, kind, order: of, orderId }, sent, n);
  },
  read: (caller, { n, kind, of }) => {
    const orderId = caller.ids.get(of);
    if (orderId === undefined) return undefined;
    return caller.ask({ operation: n, kind, order: of, orderId }, { method: 'GET', path: `/orders/${orderId}` }, n);
  },
  sku: (caller, { n, kind, sku, unitPrice, onHand }) => {
    const body = { name: sku, unitPrice, currency: 'USD', onHand };
    return caller.ask({ operation: n, kind }, { method: 'PUT', path: `/inventory/${sku}`, body }, n);
  },
  resolve: async (caller, { n, kind, action, nth }) => {
    const orderId = await findToDecide(caller, n, nth);
    if (orderId === undefined) return caller.log.skip(n, kind);
    const body = { action, operator: 'soak-operator', reason: `operation ${n}` };
    const sent = { method: 'POST' as const, path: `/admin/sagas/${orderId}/resolve`, body };
    return caller.ask({ operation: n, kind, orderId }, sent, n);
  },
  odd: (caller, { n, kind, input }) => {
    const customerId = `cus_odd_${n}`;
    const odd = oddRequest(input as (typeof ODD_INPUTS)[number], customerId);
    return caller.ask({ operation: n, kind, customerId }, { method: 'POST', path: '/orders', ...odd }, n);
  },
};

/** One of the stuck sagas, or of those at work if none is stuck: operators decide about these, too. */
async function findToDecide(caller: Caller, n: number, nth: number): Promise<string | undefined> {
  const list = async (path: string) => {
    const { outcome, text = '{}' } = await send({ method: 'GET', url: `${caller.apiOf(n)}${path}` });
    return outcome === 'ok' ? (JSON.parse(text) as { sagas?: { orderId: string }[]; orders?: { id: string }[] }) : {};
  };
  const { sagas = [] } = await list('/admin/sagas?limit=20');
  const { orders = [] } = sagas.length > 0 ? {} : await list('/orders?status=PENDING&limit=20');
  const found = [...sagas.map(({ orderId }) => orderId), ...orders.map(({ id }) => id)];
  return found[nth % Math.max(found.length, 1)];
}

/** What cannot be asked, as its order is not known, is passed over, and the log says so. */
async function carryOut(caller: Caller, ordered: ReadonlyMap<number, PlannedOrder>, one: Operation): Promise<void> {
  const act = ACTS[one.kind] as Act<OperationKind>;
  const asked = act(caller, one, ordered);
  if (asked === undefined) caller.log.skip(one.n, one.kind);
  await asked;
}

/** The catalogue as the plan begins with it. */
export async function stockUp(api: string, orders: number): Promise<void> {
  for (const sku of SKUS) {
    const body = { name: sku, unitPrice: FIRST_PRICE, currency: 'USD', onHand: firstStock(sku, orders) };
    const { outcome, text } = await send({ method: 'PUT', url: `${api}/inventory/${sku}`, body });
    if (outcome !== 'ok') throw new Error(`${sku} cannot be stocked: ${text}`);
  }
}
