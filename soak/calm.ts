/**
 * An act in calm: an operator takes back an order that cannot be charged, when all faults are over. Amid them, and on a busy machine, it
 * may be that no act is answered, and then nothing would show that acts are recorded.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationLog } from './operation-log.js';
import { SKUS } from './plan/operations.js';
import { send } from './workload/http.js';
import type { Installation } from './world/installation.js';
import { startWait } from './world/patience.js';

/** Of no plan. */
export const IN_CALM = -1;
const UNAVAILABLE = 'pm_sandbox_unavailable';
/** Its deadline may be over before anybody has decided: then it is tried with another order. */
const LIMIT_MS = 120_000;
const PAUSE_MS = 500;

/** @returns what went wrong, if no act was acknowledged */
export async function actInCalm({ direct }: Installation, log: OperationLog): Promise<string | undefined> {
  const to = direct.api;
  const wait = startWait(LIMIT_MS);
  for (let n = 0; ; n++) {
    const customerId = `cus_calm_${n}`;
    const body = { customerId, items: [{ sku: SKUS[5], quantity: 1 }], paymentMethod: UNAVAILABLE };
    const ordered = log.invoke({ operation: IN_CALM, kind: 'order', customerId, to });
    const order = ordered(await send({ method: 'POST', url: `${to}/orders`, body }));
    const orderId = order.outcome === 'ok' ? (JSON.parse(order.text ?? '') as { id: string }).id : undefined;
    while (orderId !== undefined && (await isOpen(to, orderId))) {
      const decision = { action: 'compensate', operator: 'soak-operator', reason: `operation ${IN_CALM}` };
      const decided = log.invoke({ operation: IN_CALM, kind: 'resolve', orderId, to });
      const act = decided(await send({ method: 'POST', url: `${to}/admin/sagas/${orderId}/resolve`, body: decision }));
      if (act.outcome === 'ok') return undefined;
      await sleep(PAUSE_MS);
    }
    const why = wait.over();
    if (why !== undefined) return `an act in calm: ${why}`;
    await sleep(PAUSE_MS);
  }
}

async function isOpen(api: string, orderId: string): Promise<boolean> {
  const { outcome, text = '{}' } = await send({ method: 'GET', url: `${api}/orders/${orderId}` });
  return outcome !== 'ok' || (JSON.parse(text) as { status: string }).status === 'PENDING';
}
