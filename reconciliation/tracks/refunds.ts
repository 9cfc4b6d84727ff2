/** The track of refunds: the newest ones, and scans that follow older ones for as long as they can still fail. */
import { listNewsOfRefunds, listOpenReferences } from '../../domain/reconciliation.js';
import type { LedgerRefund, PageRequest } from '../../gateways/payments.js';
import { examineAll } from '../comparison.js';
import { readNewest } from '../newest-entries.js';
import { advance, gatewayNow, isolated, type Pass, scansOfPass } from '../pass-state.js';
import { readOn } from '../scans.js';

/** A refund may concern a charge of any age: it was made by hand in the gateway's dashboard, or a bank sent it back. */
export async function refundsTrack(pass: Pass): Promise<void> {
  const { db, gateway } = pass.deps;
  const list = (request: PageRequest) => gateway.listRefunds(request);
  await isolated(pass, () => readNewest(pass, 'refunds', list, (items) => examineRefunds(pass, items)));
  for (const scan of scansOfPass(pass).refunds) {
    // Recent news was read above; what is scanned again is looked at for what has ended badly since.
    const isGap = scan.name === 'refunds-gap';
    await isolated(pass, () =>
      readOn(db, scan, gatewayNow(pass), list, async (items) => {
        if (isGap) return examineRefunds(pass, items);
        const open = await listOpenReferences(db, chargesOf(items));
        const ended = items.filter((refund) => !isAlive(refund) || open.has(refund.chargeReference));
        return examineRefunds(pass, ended, open);
      }),
    );
  }
}

const isAlive = ({ status }: LedgerRefund): boolean => status === 'succeeded' || status === 'pending';

const chargesOf = (refunds: LedgerRefund[]): string[] => [...new Set(refunds.map((refund) => refund.chargeReference))];

/** @param open charges with an open finding, which may be so no more */
async function examineRefunds(pass: Pass, refunds: LedgerRefund[], open: Iterable<string> = []): Promise<void> {
  await advance(pass);
  const named = refunds.map((refund) => ({ ...refund, isAlive: isAlive(refund) }));
  const news = await listNewsOfRefunds(pass.deps.db, named);
  const waiting = new Set(chargesOf(refunds.filter(({ status }) => status === 'requires_action')));
  for (const reference of news) if (waiting.has(reference)) pass.refundsWait.add(reference);
  await examineAll(pass, [...new Set([...news, ...open])]);
}
