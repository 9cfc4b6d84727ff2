/** The gateway's ledger, through the provider's own lists and nothing of ours. */
import type { LedgerCharge } from '../../verification/ledgers.js';
import { groupBy } from './grouping.js';

/** @param installationId by which our charges are marked; all others are strangers' */
export async function readCharges(gateway: string, installationId: string): Promise<LedgerCharge[]> {
  const intents = await readList<Intent>(gateway, '/v1/payment_intents', '&expand[]=data.latest_charge');
  const refunds = groupBy(await readList<Refund>(gateway, '/v1/refunds'), (refund) => refund.payment_intent);
  return intents.map(({ id, status, currency, amount_received: received, metadata, latest_charge }) => {
    const own = refunds.get(id) ?? [];
    return {
      reference: id,
      orderId: metadata['orderId'] ?? null,
      isOurs: metadata['installationId'] === installationId,
      currency: currency.toUpperCase(),
      status,
      received,
      refunded: own.filter((refund) => GOES_BACK.has(refund.status)).reduce((sum, { amount }) => sum + amount, 0),
      holds: received - (latest_charge?.amount_refunded ?? 0),
      refunds: own.map((refund) => ({ ...refund, orderId: refund.metadata?.['orderId'] ?? null })),
    };
  });
}
const GOES_BACK = new Set(['succeeded', 'pending', 'requires_action']);

type Intent = {
  id: string;
  status: string;
  currency: string;
  amount_received: number;
  metadata: Record<string, string>;
  latest_charge: { amount_refunded: number } | null;
};
type Refund = {
  id: string;
  status: string;
  amount: number;
  payment_intent: string;
  metadata: Record<string, string> | null;
};

async function readList<T extends { id: string }>(gateway: string, path: string, more = ''): Promise<T[]> {
  const all: T[] = [];
  for (;;) {
    const from = all.length === 0 ? '' : `&starting_after=${all.at(-1)?.id}`;
    const answer = await fetch(`${gateway}${path}?limit=100${from}${more}`, {
      headers: { authorization: 'Bearer sk_test_checker' },
      signal: AbortSignal.timeout(20_000),
    });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    const page = (await answer.json()) as { data: T[]; has_more: boolean };
    all.push(...page.data);
    if (!page.has_more) return all;
  }
}
