/** Clients: each takes the next operation of the plan, carries it out, and logs what it was told. Who gets no answer asks again, as one does. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Call, OperationLog, Request } from '../operation-log.js';
import {
  FIRST_PRICE,
  firstStock,
  type ODD_INPUTS,
  type Operation,
  type PlannedOrder,
  SKUS,
} from '../plan/operations.js';
import { type Sent, send } from './http.js';
import { oddRequest } from './odd-input.js';

export type Workload = {
  /** @param began is told how many operations have begun, and holds the client back meanwhile */
  run: (operations: readonly Operation[], began: (count: number) => Promise<void>) => Promise<void>;
  /** Asks again for every order under a key of which nothing is known yet. @returns how many are still not known */
  settle: () => Promise<number>;
  /** The service's ids of orders, by their numbers in the plan. */
  ids: ReadonlyMap<number, string>;
  stop: () => void;
};

const CLIENTS = 10;
const TRIES = 3;
const PAUSE_MS = 400;
const LEFT_OVER_AT_ONCE = 8;

export function createWorkload(apis: readonly string[], log: OperationLog): Workload {
  const ids = new Map<number, string>();
  const open = new Map<string, { operation: number; order: PlannedOrder; kind: 'order' | 'twin' }>();
  const ordered = new Map<number, PlannedOrder>();
  let isStopped = false;

  /** @param base where it goes; the next try goes elsewhere */
  const ask = async (request: Omit<Request, 'to'>, sent: Omit<Sent, 'url'> & { path: string }, base: number) => {
    const to = apis[base % apis.length] as string;
    const answered = log.invoke({ ...request, to, ...(sent.body !== undefined && { body: sent.body }) });
    return answered(await send({ ...sent, url: `${to}${sent.path}` }));
  };

  const place = async (operation: number, order: PlannedOrder, kind: 'order' | 'twin' | 'repeat', tries = TRIES) => {
    const { no, key, customerId, externalOrderId, preferWaitSeconds } = order;
    if (key !== undefined && kind !== 'repeat') open.set(key, { operation, order, kind });
    for (let n = 0; n < tries && !isStopped; n++) {
      const call = await ask(
        {
          operation,
          kind,
          order: no,
          customerId,
          ...(key && { key }),
          ...(externalOrderId && { externalOrderId }),
          isWaiting: preferWaitSeconds !== undefined,
        },
        { method: 'POST', path: '/orders', body: bodyOf(order), headers: headersOf(key, preferWaitSeconds) },
        operation + n,
      );
      if (call.outcome !== 'unknown') {
        if (key !== undefined) open.delete(key);
        if (call.outcome === 'ok' && kind !== 'twin') ids.set(no, idIn(call));
        return;
      }
      if (key === undefined) return; // it might be there by now: a second request could be a second order
      await sleep(PAUSE_MS * (n + 1));
    }
  };

  const resolve = async (n: number, action: string, nth: number) => {
    const listed = await send({ method: 'GET', url: `${apis[n % apis.length]}/admin/sagas?limit=20` });
    const sagas =
      listed.outcome === 'ok' ? (JSON.parse(listed.text ?? '') as { sagas: { orderId: string }[] }).sagas : [];
    const orderId = sagas[nth % Math.max(sagas.length, 1)]?.orderId;
    if (orderId === undefined) return log.skip(n, 'resolve');
    const body = { action, operator: 'soak-operator', reason: `operation ${n}` };
    await ask(
      { operation: n, kind: 'resolve', orderId },
      { method: 'POST', path: `/admin/sagas/${orderId}/resolve`, body },
      n,
    );
  };

  const aboutOrder = async (n: number, kind: 'cancel' | 'read', of: number) => {
    const orderId = ids.get(of);
    if (orderId === undefined) return log.skip(n, kind);
    const about = { operation: n, kind, order: of, orderId };
    if (kind === 'read') await ask(about, { method: 'GET', path: `/orders/${orderId}` }, n);
    else await ask(about, { method: 'POST', path: `/orders/${orderId}/cancel`, body: { reason: 'soak' } }, n);
  };

  const carryOut = async (operation: Operation): Promise<unknown> => {
    const { n, kind } = operation;
    switch (kind) {
      case 'order':
        ordered.set(operation.order.no, operation.order);
        return place(n, operation.order, 'order');
      case 'twin':
        return place(n, operation.twin, 'twin');
      case 'repeat': {
        const order = ordered.get(operation.of);
        return order ? place(n, order, 'repeat', 1) : log.skip(n, kind);
      }
      case 'conflict': {
        const order = ordered.get(operation.of);
        if (!order?.key || !ids.has(order.no)) return log.skip(n, kind);
        const body = { ...bodyOf(order), paymentMethod: 'pm_card_amex' };
        const { no, customerId, key } = order;
        const headers = headersOf(key);
        return ask(
          { operation: n, kind, order: no, customerId, key },
          { method: 'POST', path: '/orders', body, headers },
          n,
        );
      }
      case 'cancel':
      case 'read':
        return aboutOrder(n, kind, operation.of);
      case 'sku': {
        const { sku, unitPrice, onHand } = operation;
        const body = { name: sku, unitPrice, currency: 'USD', onHand };
        return ask({ operation: n, kind }, { method: 'PUT', path: `/inventory/${sku}`, body }, n);
      }
      case 'resolve':
        return resolve(n, operation.action, operation.nth);
      case 'odd': {
        const customerId = `cus_odd_${n}`;
        const {
          method = 'POST',
          path = '/orders',
          ...sent
        } = oddRequest(operation.input as (typeof ODD_INPUTS)[number], customerId);
        return ask({ operation: n, kind, customerId }, { method, path, ...sent }, n);
      }
      default:
        throw new Error(`Bug! Unhandled operation '${kind satisfies never}'`);
    }
  };

  return {
    ids,
    run: async (operations, began) => {
      let next = 0;
      const client = async () => {
        for (let one = operations[next++]; one && !isStopped; one = operations[next++]) {
          await began(next);
          await carryOut(one);
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
    },
    settle: async () => {
      const left = [...open.values()];
      for (let at = 0; at < left.length; at += LEFT_OVER_AT_ONCE)
        await Promise.all(
          left.slice(at, at + LEFT_OVER_AT_ONCE).map(({ operation, order, kind }) => place(operation, order, kind, 1)),
        );
      return open.size;
    },
    stop: () => {
      isStopped = true;
    },
  };
}

/** The catalogue as the plan begins with it. */
export async function stockUp(api: string, orders: number): Promise<void> {
  for (const sku of SKUS) {
    const body = { name: sku, unitPrice: FIRST_PRICE, currency: 'USD', onHand: firstStock(sku, orders) };
    const { outcome, text } = await send({ method: 'PUT', url: `${api}/inventory/${sku}`, body });
    if (outcome !== 'ok') throw new Error(`${sku} cannot be stocked: ${text}`);
  }
}

const bodyOf = ({ customerId, items, paymentMethod, externalOrderId }: PlannedOrder) => ({
  customerId,
  items,
  paymentMethod,
  ...(externalOrderId !== undefined && { externalOrderId }),
});

const headersOf = (key: string | undefined, waitSeconds?: number): Record<string, string> => ({
  ...(key !== undefined && { 'idempotency-key': key }),
  ...(waitSeconds !== undefined && { prefer: `wait=${waitSeconds}` }),
});

const idIn = ({ text = '' }: Call): string => (JSON.parse(text) as { id: string }).id;
