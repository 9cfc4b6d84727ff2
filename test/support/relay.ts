/** A relay that really runs, for tests of what people do with what its receiver will not take. */
import type { Database } from '../../domain/database.js';
import { createWebhookPublisher } from '../../relay/publishers/webhook.js';
import { startRelay } from '../../relay/relay.js';
import { AWAY, SILENT } from './api.js';
import { changesOf } from './changes.js';
import type { Receiver } from './receiver.js';

export const webhookTo = ({ url, secret }: Receiver) => createWebhookPublisher({ url, secret, allowPrivate: true });

/** Without Temporal. @returns how to stop it */
export const runRelay = (
  { db, url }: { db: Database; url: string },
  receiver: Receiver,
  destinationsBegin: 'oldest' | 'now' = 'oldest',
): (() => Promise<void>) => {
  const changes = changesOf({ url });
  const relay = startRelay({
    db,
    changes,
    temporal: AWAY,
    publishers: [webhookTo(receiver)],
    inHand: new Set(),
    policy: { stepRetryBudgetMs: 1, sagaDeadlineMs: 1, compensationAttentionAfterMs: 1 },
    deliveryBackoffMaxMs: 500,
    destinationsBegin,
    outboxRetentionMs: 86_400_000,
    erasuresLateAfterMs: 23 * 86_400_000,
    logger: SILENT,
  });
  return async () => {
    await relay.stop();
    await changes.stop();
  };
};
