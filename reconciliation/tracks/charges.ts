/** The track of charges: the newest ones, those of ours that no list has shown, and the scans of a whole day. */
import type { LedgerCharge, PageRequest } from '../../gateways/payments.js';
import { examine, examineUnseen } from '../comparison.js';
import { OVERLAP_MS, readNewest } from '../newest-entries.js';
import { advance, gatewayNow, isolated, type Pass, scansOfPass } from '../pass-state.js';
import { readOn, type Scanned } from '../scans.js';

/** Ours by a moment, the gateway's before: a charge recorded at the very beginning of a range was made before it. */
const RECORDING_MS = 10_000;

export async function chargesTrack(pass: Pass): Promise<void> {
  const { gateway } = pass.deps;
  const list = (request: PageRequest) => gateway.listCharges(request);
  await isolated(pass, () =>
    readNewest(pass, 'charges', list, async (items, next) => {
      pass.comesAgainFrom = next.from;
      await examine(pass, items);
    }),
  );
  // By our clock; the gateway's may be ahead of it.
  const { cursor } = pass;
  const from = Math.min(cursor.charges.from.getTime() + RECORDING_MS, cursor.now.getTime() - OVERLAP_MS);
  await isolated(pass, () => examineUnseen(pass, { from: new Date(from), until: cursor.now }));
  for (const scan of scansOfPass(pass).charges)
    await isolated(pass, () =>
      readOn(pass.deps.db, scan, gatewayNow(pass), list, (items) => examineOld(pass, scan, items)),
    );
}

/** What a whole day's scan shows is also held against what should be in it. */
async function examineOld(pass: Pass, { name }: Scanned, items: LedgerCharge[]): Promise<void> {
  await examine(pass, items);
  await advance(pass);
  const [newest, oldest] = [items[0], items.at(-1)];
  if (name === 'charges-day' && newest && oldest)
    await examineUnseen(pass, { from: new Date(oldest.createdAt.getTime() + RECORDING_MS), until: newest.createdAt });
}
