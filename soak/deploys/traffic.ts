/** Traffic: customers who order all the while, and ask once more, at another API, if they get no answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationLog } from '../operation-log.js';
import { SKUS } from '../plan/operations.js';
import { type Caller, createCaller } from '../workload/caller.js';

export type Traffic = {
  caller: Caller;
  /** Places so many at once, and waits until all are acknowledged. @returns their ids */
  crowd: (count: number, paymentMethod: string) => Promise<string[]>;
  /** From now on, until `stop`. */
  flow: () => void;
  stop: () => Promise<void>;
};

const CLIENTS = 4;
const CROWD_AT_ONCE = 8;
/** The one retry that is allowed. */
const TRIES = 2;
export const PAID = 'pm_card_visa';
const DECLINED_EVERY = 12;
/** Not those that run out, nor those of which orders would wait for each other. */
const SKUS_ASKED_FOR = SKUS.slice(2);

/** @param perSecond orders of all clients together */
export function createTraffic(apis: readonly string[], log: OperationLog, perSecond: number): Traffic {
  const caller = createCaller(apis, log);
  const first = createCaller(apis.slice(0, 1), log);
  let next = 0;
  const place = async (paymentMethod?: string, by = caller): Promise<number> => {
    const no = next++;
    const order = {
      no,
      customerId: `cus_deploys_${no}`,
      key: `key-deploys-${no}`,
      items: [{ sku: SKUS_ASKED_FOR[no % SKUS_ASKED_FOR.length] as string, quantity: 1 }],
      paymentMethod: paymentMethod ?? (no % DECLINED_EVERY === 7 ? 'pm_card_chargeDeclined' : PAID),
    };
    await by.place({ operation: no, order, kind: 'order' }, TRIES);
    return no;
  };
  const clients: Promise<void>[] = [];
  const flow = async () => {
    while (!caller.isStopped()) {
      const from = performance.now();
      await place();
      await sleep(Math.max(0, (1_000 * CLIENTS) / perSecond - (performance.now() - from)));
    }
  };
  return {
    caller,
    crowd: async (count, paymentMethod) => {
      const placed: number[] = [];
      const some = async () => {
        while (placed.length < count) {
          const at = placed.push(-1) - 1;
          placed[at] = await place(paymentMethod, first);
        }
      };
      await Promise.all(Array.from({ length: CROWD_AT_ONCE }, some));
      return placed.flatMap((no) => first.ids.get(no) ?? []);
    },
    flow: () => void clients.push(...Array.from({ length: CLIENTS }, flow)),
    stop: async () => {
      caller.stop();
      await Promise.all(clients);
    },
  };
}
