/** Settlement: charges that were still under way turn into money after a while, also across a restart. */
import type { Logger } from 'pino';
import type { Ledger } from '../ledger/ledger.js';
import type { Intent } from '../ledger/records.js';
import { settled } from '../provider/attempt.js';

/** @returns stops settling; what is still under way is settled after the next start */
export function settleProcessing(ledger: Ledger, { afterMs, logger }: { afterMs: number; logger: Logger }): () => void {
  const timers = new Set<NodeJS.Timeout>();

  const settle = async (id: string) => {
    const intent = ledger.facts.intents.get(id);
    const charge = ledger.facts.charges.get(intent?.latestCharge ?? '');
    if (intent?.status === 'processing' && charge) await ledger.record(settled(intent, charge));
  };
  const schedule = (intent: Intent) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      settle(intent.id).catch((err: unknown) => logger.error({ err }, 'a settlement was not recorded'));
    }, afterMs);
    timers.add(timer);
  };

  for (const intent of ledger.facts.intents.items) if (intent.status === 'processing') schedule(intent);
  ledger.onRecorded(({ intent }) => {
    if (intent?.status === 'processing') schedule(intent);
  });
  return () => {
    for (const timer of timers) clearTimeout(timer);
  };
}
