/** The gateway's ledger as the invariants take it, through the provider's own lists and nothing of ours: for the soak and the tests. */
import type { LedgerCharge } from '../verification/ledgers.js';

/** @param isOurs by a charge's metadata; all others are strangers' */
export async function readCharges(gateway: string, isOurs: (metadata: Metadata) => boolean): Promise<LedgerCharge[]> {
  const intents = await readList<Intent>(gateway, '/v1/payment_intents', '&expand[]=data.latest_charge');
  const refunds = new Map<string, Refund[]>();
  for (const refund of await readList<Refund>(gateway, '/v1/refunds'))
    refunds.set(refund.payment_intent, [...(refunds.get(refund.payment_intent) ?? []), refund]);
  return intents.map(({ id, status, currency, amount_received: received, metadata, latest_charge }) => {
    const own = refunds.get(id) ?? [];
    return {
      reference: id,
      orderId: metadata['orderId'] ?? null,
      isOurs: isOurs(metadata),
      currency: currency.toUpperCase(),
      status,
      received,
      refunded: own.filter((refund) => GOES_BACK.has(refund.status)).reduce((sum, { amount }) => sum + amount, 0),
      holds: received - (latest_charge?.amount_refunded ?? 0),
      refunds: own.map(({ status, amount, metadata }) => ({ status, amount, orderId: metadata?.['orderId'] ?? null })),
    };
  });
}
const GOES_BACK = new Set(['succeeded', 'pending', 'requires_action']);

type Metadata = Record<string, string>;
type Intent = {
  id: string;
  status: string;
  currency: string;
  amount_received: number;
  metadata: Metadata;
  latest_charge: { amount_refunded: number } | null;
};
type Refund = {
  id: string;
  status: string;
  amount: number;
  payment_intent: string;
  metadata: Metadata | null;
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
