/** A receiver of webhooks that the launcher runs when somebody asks for dead letters: it takes every event, but for those that it is told to reject. */
import { randomBytes } from 'node:crypto';

/** As the relay calls what it delivers to by WEBHOOK_URL. */
export const DEMO_DESTINATION = 'webhook';
/** The first after the order's acceptance, so that the order goes on while its event waits. */
const REJECTED_SEQUENCE = 2;

export type Receiver = {
  /** What has the service deliver here, from now on and not what was before. */
  env: NodeJS.ProcessEnv;
  /** @returns the status that an event is answered with */
  answer(event: { subject?: unknown; sequence?: unknown }): number;
  /** An event of each of the next so many orders. */
  rejectNext(orders: number): void;
  mend(): void;
};

export function createReceiver(url: string): Receiver {
  const rejected = new Set<unknown>();
  let next = 0;
  return {
    env: {
      WEBHOOK_URL: url,
      WEBHOOK_SECRET: `whsec_${randomBytes(32).toString('base64')}`,
      WEBHOOK_ALLOW_PRIVATE: 'true',
      DESTINATIONS_BEGIN: 'now',
    },
    answer: ({ subject, sequence }) => {
      if (sequence === 1 && next > 0 && !rejected.has(subject)) {
        rejected.add(subject);
        next--;
      }
      return sequence === REJECTED_SEQUENCE && rejected.has(subject) ? 422 : 204;
    },
    rejectNext: (orders) => {
      next = orders;
    },
    mend: () => {
      rejected.clear();
      next = 0;
    },
  };
}
