/** A caller: asks the service and logs what it is told; who gets no answer to an order asks again under its key, elsewhere, as one does. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Call, OperationLog, Request } from '../operation-log.js';
import type { PlannedOrder } from '../plan/operations.js';
import { type Sent, send } from './http.js';

export type Caller = {
  log: OperationLog;
  /** The service's ids of orders, by their numbers in the plan. */
  ids: ReadonlyMap<number, string>;
  /** @param turn which of the API processes it goes to */
  ask: (request: Omit<Request, 'to'>, sent: Omit<Sent, 'url'> & { path: string }, turn: number) => Promise<Call>;
  place: (placing: Placing, tries?: number) => Promise<void>;
  /** Orders under a key of which nothing is known yet. */
  unanswered: () => Placing[];
  apiOf: (turn: number) => string;
  isStopped: () => boolean;
  stop: () => void;
};
export type Placing = { operation: number; order: PlannedOrder; kind: 'order' | 'twin' | 'repeat' };

const TRIES = 3;
const PAUSE_MS = 400;

export function createCaller(apis: readonly string[], log: OperationLog): Caller {
  const ids = new Map<number, string>();
  const open = new Map<string, Placing>();
  let isStopped = false;
  const apiOf = (turn: number) => apis[turn % apis.length] as string;
  const caller: Caller = {
    log,
    ids,
    apiOf,
    ask: async (request, sent, turn) => {
      const to = apiOf(turn);
      const answered = log.invoke({ ...request, to, ...(sent.body !== undefined && { body: sent.body }) });
      return answered(await send({ ...sent, url: `${to}${sent.path}` }));
    },
    place: async (placing, tries = TRIES) => {
      const { operation, order, kind } = placing;
      const { no, key } = order;
      if (key !== undefined && kind !== 'repeat') open.set(key, placing);
      for (let n = 0; n < tries && !isStopped; n++) {
        const call = await caller.ask(requestOf(placing), sentOf(order), operation + n);
        if (call.outcome !== 'unknown') {
          if (key !== undefined) open.delete(key);
          if (call.outcome === 'ok' && kind !== 'twin') ids.set(no, idIn(call));
          return;
        }
        if (key === undefined) return; // it might be there by now: a second request could be a second order
        await sleep(PAUSE_MS * (n + 1));
      }
    },
    unanswered: () => [...open.values()],
    isStopped: () => isStopped,
    stop: () => {
      isStopped = true;
    },
  };
  return caller;
}

const requestOf = ({ operation, kind, order }: Placing): Omit<Request, 'to'> => ({
  operation,
  kind,
  order: order.no,
  customerId: order.customerId,
  isWaiting: order.preferWaitSeconds !== undefined,
  ...(order.key !== undefined && { key: order.key }),
  ...(order.externalOrderId !== undefined && { externalOrderId: order.externalOrderId }),
});

const sentOf = (order: PlannedOrder) => ({
  method: 'POST' as const,
  path: '/orders',
  body: bodyOf(order),
  headers: {
    ...headersOf(order.key),
    ...(order.preferWaitSeconds !== undefined && { prefer: `wait=${order.preferWaitSeconds}` }),
  },
});

export const bodyOf = ({ customerId, items, paymentMethod, externalOrderId }: PlannedOrder) => ({
  customerId,
  items,
  paymentMethod,
  ...(externalOrderId !== undefined && { externalOrderId }),
});

export const headersOf = (key: string | undefined): Record<string, string> =>
  key === undefined ? {} : { 'idempotency-key': key };

const idIn = ({ text = '' }: Call): string => (JSON.parse(text) as { id: string }).id;
