/**
 * Comparison: holds charges of the gateway's ledger against the orders that they name, and has every difference settled. A
 * difference at first sight decides nothing: settlement.ts looks at everything again before it acts.
 */
import pLimit from 'p-limit';
import {
  listInHand,
  listOpenReferences,
  listUnseenCharges,
  type OrderMoney,
  openFinding,
  readOrdersMoney,
} from '../domain/reconciliation.js';
import type { LedgerCharge } from '../gateways/payments.js';
import { classify } from './classification.js';
import { PARALLEL_MAX, type Pass } from './pass-state.js';
import { moneyOf, type Outcome, report, settle } from './settlement.js';

const UNSEEN_MAX = 20;

/** Compares charges with their orders; whatever does not agree at first sight is looked at again and settled. */
export async function examine(pass: Pass, charges: LedgerCharge[]): Promise<void> {
  const { deps, counts, cursor } = pass;
  for (const { reference } of charges) pass.seen.add(reference);
  counts.listed += charges.length;
  const [orders, open] = await Promise.all([
    readOrdersMoney(deps.db, charges),
    listOpenReferences(
      deps.db,
      charges.map(({ reference }) => reference),
    ),
  ]);
  const limit = pLimit(PARALLEL_MAX);
  await Promise.all(
    charges.map((charge) => {
      const classification = classify(charge, orders.get(charge.reference), cursor.now, deps);
      const hasNews = open.has(charge.reference) || pass.refundsWait.has(charge.reference);
      if (classification.do === 'nothing' && !hasNews) counts.agreed++;
      else if (classification.do === 'wait' && !classification.wake && charge.createdAt >= pass.comesAgainFrom)
        counts.waiting++;
      else return limit(() => settleOne(pass, charge, orders.get(charge.reference)));
      return undefined;
    }),
  );
}

/** A charge that fails keeps no other from being settled. What could not even be written down fails the pass, and comes again with it. */
async function settleOne(pass: Pass, charge: LedgerCharge, order: OrderMoney | undefined): Promise<void> {
  const { deps, cursor, failures } = pass;
  const orderId = order?.orderId ?? charge.orderId;
  const { correlationId } = order ?? {};
  if (pass.settled.has(charge.reference)) return; // another track settles it, and looks at everything again itself
  pass.settled.add(charge.reference);
  try {
    await count(pass, await settle(deps, charge, cursor.now), { orderId, correlationId });
  } catch (err) {
    failures.push(err);
    // What it is known as already is in hand; what is not would be forgotten with this pass.
    const isKnown = (await listInHand(deps.db, charge.reference)).length > 0;
    if (!isKnown && charge.createdAt < pass.comesAgainFrom)
      await openFinding(deps.db, 'UNDECIDED', 'waiting', {
        reference: charge.reference,
        orderId: orderId ?? '',
        ...moneyOf(charge, order),
      });
  }
}

type Named = { orderId: string | null; correlationId: string | null | undefined };

export async function count(pass: Pass, outcome: Outcome, { orderId, correlationId }: Named): Promise<void> {
  const isToWake = outcome === 'wake' && orderId !== null;
  if (isToWake && (await pass.deps.wake?.({ orderId, correlationId: correlationId ?? undefined }))) pass.counts.woken++;
  pass.counts[outcome === 'wake' ? 'waiting' : outcome]++;
}

/** The same for charges that are known by reference only. */
export async function examineAll(pass: Pass, references: string[]): Promise<void> {
  const limit = pLimit(PARALLEL_MAX);
  await Promise.all(
    references.map((reference) =>
      limit(async () => {
        // Of a charge that was seen, only its refund says that it waits.
        const isDone = pass.seen.has(reference) && !pass.refundsWait.has(reference);
        const charge = isDone ? null : await pass.deps.gateway.readCharge(reference);
        if (charge) await examine(pass, [charge]);
      }),
    ),
  );
}

/** Charges of confirmed orders that no list has shown: at the edge of a range, or gone. */
export async function examineUnseen(pass: Pass, between: { from: Date; until: Date }): Promise<void> {
  const { deps, seen } = pass;
  for (const unseen of await listUnseenCharges(deps.db, between, [...seen], UNSEEN_MAX)) {
    const charge = await deps.gateway.readCharge(unseen.reference);
    if (charge) await examine(pass, [charge]);
    else {
      const logger = deps.logger.child({ correlationId: unseen.correlationId });
      await count(pass, await report({ ...deps, logger }, 'MISSING_CHARGE', unseen, GONE), unseen);
    }
  }
}

const GONE = 'The order is confirmed, but the gateway has no such charge';
