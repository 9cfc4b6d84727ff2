/** The webhook's example at a port of its own, and who posts to it: the relay's publisher, or anybody. */
import { Webhook } from 'standardwebhooks';
import { v7 as uuidv7 } from 'uuid';
import type { CloudEvent } from '../../contracts/events.js';
import { freePort } from '../../local/processes/ports.js';
import { createConsumer } from './consumer.js';
import { orderEvents, publish } from './proof.js';

const WEBHOOK_SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes, say').toString('base64')}`;
const DAY_MS = 86_400_000;

export type Request = { headers?: Record<string, string>; body: string };
export type WebhookConsumer = Awaited<ReturnType<typeof startWebhookConsumer>>;

export async function startWebhookConsumer() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { WEBHOOK_URL: url, WEBHOOK_SECRET, WEBHOOK_ALLOW_PRIVATE: 'true' };
  const consumer = await createConsumer('webhook', { PORT: `${port}`, WEBHOOK_SECRET });
  consumer.start();
  const deliver = (events: CloudEvent[]) => publish(env, events);
  return {
    consumer,
    deliver,
    /** As if nothing had ever come. */
    begin: async () => {
      await deliver(orderEvents(uuidv7()));
      await consumer.query('TRUNCATE sales, purchases, erased, inbox, horizons, dead_letters');
    },
    /** @returns the status */
    post: async (request: Request | string) => {
      const given = typeof request === 'string' ? { body: request } : request;
      return (await fetch(url, { method: 'POST', ...given })).status;
    },
  };
}

/** @param more of it: an id, a body, the moment of signing; an order's first event, now, unless given */
export function signed(more: { id?: string; body?: string; at?: Date } = {}): Request {
  const [event] = orderEvents(uuidv7()) as [CloudEvent];
  const { id = event.id, body = JSON.stringify(event), at = new Date() } = more;
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': `${Math.floor(at.getTime() / 1_000)}`,
    'webhook-signature': new Webhook(WEBHOOK_SECRET).sign(id, at, body),
  };
  return { headers, body };
}

/** As they would have been written long ago. */
export const aged = (events: CloudEvent[], at = new Date(Date.now() - 200 * DAY_MS)) =>
  events.map((event) => ({ ...event, time: at.toISOString() }));
