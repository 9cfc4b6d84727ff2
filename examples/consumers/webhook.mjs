/**
 * Webhook → effects, exactly once. WEBHOOK_SECRET=whsec_… PORT=4000 DATABASE_URL=… node examples/consumers/webhook.mjs
 * Whatever is not answered with 2xx is sent again, and holds the later events of its order back until then.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { openInbox } from './inbox.mjs';
import { processed } from './tracing.mjs';

const once = await openInbox('webhook');
const webhook = new Webhook(process.env.WEBHOOK_SECRET);

const server = createServer(async (request, response) => {
  try {
    const body = await text(request);
    if (!isSigned(body, request.headers)) return response.writeHead(401).end();
    await processed(JSON.parse(body), once); // CloudEvents' structured mode: the body is the event
    response.writeHead(204).end(); // after the effect; lost, it only brings the event again
  } catch (err) {
    process.stderr.write(`${err.stack}\n`);
    response.writeHead(500).end();
  }
});
server.listen(Number(process.env.PORT), '127.0.0.1');

function isSigned(body, headers) {
  try {
    webhook.verify(body, headers);
    return true;
  } catch {
    return false;
  }
}
