/**
 * Webhook → effects, exactly once. WEBHOOK_SECRET=whsec_… PORT=4000 DATABASE_URL=… node examples/consumers/webhook.mjs
 * Whatever is not answered with 2xx is sent again, and holds the later events of its order back until then.
 */
import { createServer } from 'node:http';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { openTable } from './dead/table.mjs';
import { startConsumer } from './kit/consumer.mjs';
import { wordsOf } from './kit/log.mjs';
import { count, text } from './kit/settings.mjs';

const BODY_BYTES_MAX = 1_048_576;
const BUSY = { 'retry-after': '1' }; // s

const kit = await startConsumer('webhook', { WEBHOOK_SECRET: text(), PORT: count(4_000, 1, 65_535) }, openTable);
const webhook = new Webhook(kit.settings.WEBHOOK_SECRET);

const server = createServer(async (request, response) => {
  try {
    const status = await answer(request);
    response.writeHead(status, status === 503 ? BUSY : {}).end();
  } catch (err) {
    // Its database is away, it ends, or the sender went: it comes again.
    kit.log.warn('not taken', { error: wordsOf(err) });
    response.writeHead(503, BUSY).end();
  }
});
kit.leave = async () => {
  server.closeIdleConnections();
  server.close();
};
server.listen(kit.settings.PORT, '127.0.0.1');

/** @returns the status */
async function answer(request) {
  if (kit.stopping.aborted || kit.lanes.isFull()) return 503; // back-pressure: the sender waits
  const body = await textOf(request);
  if (body === undefined) return 413;
  const why = whyNotSigned(body, request.headers);
  if (why !== undefined) {
    kit.log.warn('refused: not signed with WEBHOOK_SECRET, or not now', { error: why });
    return 401;
  }
  // CloudEvents' structured mode: the body is the event. It is answered after the effect; lost, the answer only brings the event again.
  await kit.take({ id: request.headers['webhook-id'], headers: {}, body }, { isPatient: false });
  return 204;
}

/** @returns undefined if it is too long */
async function textOf(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** @returns undefined if it is */
function whyNotSigned(body, headers) {
  try {
    webhook.verify(body, headers);
    return undefined;
  } catch (err) {
    // It parses the body as well: one that is signed and no JSON is a dead letter.
    return err instanceof WebhookVerificationError ? wordsOf(err) : undefined;
  }
}
