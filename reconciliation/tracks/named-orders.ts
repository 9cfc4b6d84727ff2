/** The track of named orders: each is looked up at once, however old its charge is. */
import pLimit from 'p-limit';
import { readOrdersMoney, readRecordedCharge } from '../../domain/reconciliation.js';
import type { LedgerCharge } from '../../gateways/payments.js';
import { examine } from '../comparison.js';
import { isolated, PARALLEL_MAX, type Pass } from '../pass-state.js';
import { readWaiting } from '../settlement.js';

/** The search may be late, and the recorded charge of any age: both are asked. */
export async function namedOrdersTrack(pass: Pass, orderIds: string[]): Promise<void> {
  const { db, gateway } = pass.deps;
  const limit = pLimit(PARALLEL_MAX);
  const lookUp = async (orderId: string) => {
    await isolated(pass, async () => examineNamed(pass, await gateway.findCharges(orderId)));
    await isolated(pass, async () => {
      const recorded = await readRecordedCharge(db, orderId);
      const charge = recorded === null ? null : await gateway.readCharge(recorded);
      if (charge) await examineNamed(pass, [charge]);
    });
  };
  await Promise.all(orderIds.map((orderId) => limit(() => lookUp(orderId))));
}

/** An order is named because something happened to it: it may have happened to a refund. */
async function examineNamed(pass: Pass, charges: LedgerCharge[]): Promise<void> {
  const orders = await readOrdersMoney(pass.deps.db, charges);
  for (const charge of charges)
    if (await readWaiting(pass.deps, charge, orders.get(charge.reference))) pass.refundsWait.add(charge.reference);
  await examine(pass, charges);
}
