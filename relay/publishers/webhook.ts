/**
 * Signed webhooks: one POST per event in CloudEvents' structured mode, signed as Standard Webhooks has it.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */

import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { CloudEvent } from '../../contracts/events.js';
import type { Publisher } from './publisher.js';

/** A receiver that takes longer has not taken it: it should store first and work later. */
const ANSWER_LIMIT_MS = 10_000;

/**
 * @param url          https, unless `allowPrivate`
 * @param secret       `whsec_` + base64, shared with the receiver
 * @param allowPrivate permits http:// and private or loopback addresses
 */
export function createWebhookPublisher(options: { url: string; secret: string; allowPrivate: boolean }): Publisher {
  const target = new URL(options.url);
  if (target.protocol !== 'https:' && !options.allowPrivate) {
    throw new Error('WEBHOOK_URL must be https, or WEBHOOK_ALLOW_PRIVATE=true');
  }
  const webhook = new Webhook(options.secret);
  return {
    destination: 'webhook',
    publish: async (event) => {
      if (!options.allowPrivate) await refusePrivate(target.hostname);
      await post(target, webhook, event);
    },
    close: async () => undefined,
  };
}

async function post(target: URL, webhook: Webhook, event: CloudEvent): Promise<void> {
  const body = JSON.stringify(event);
  const at = new Date();
  const answer = await fetch(target, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/cloudevents+json; charset=UTF-8',
      'user-agent': 'order-saga',
      'webhook-id': event.id,
      'webhook-timestamp': `${Math.floor(at.getTime() / 1000)}`,
      'webhook-signature': webhook.sign(event.id, at, body),
    },
    redirect: 'manual', // a redirect could lead anywhere, our own network included
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
  });
  await answer.body?.cancel();
  if (!answer.ok) throw new Error(`the webhook receiver answered ${answer.status}`);
}

const PRIVATE = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  PRIVATE.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
  ['64:ff9b::', 96],
] as const) {
  PRIVATE.addSubnet(net, bits, 'ipv6');
}

/** Server-side request forgery: a name that resolves into our own network is not a receiver. */
async function refusePrivate(hostname: string): Promise<void> {
  for (const { address } of await lookup(hostname.replace(/^\[|\]$/g, ''), { all: true })) {
    if (PRIVATE.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) {
      throw new Error('WEBHOOK_URL leads to a private address; WEBHOOK_ALLOW_PRIVATE=true permits it');
    }
  }
}
