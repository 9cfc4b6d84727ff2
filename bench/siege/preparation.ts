/** What an attacker has before it attacks: a token, and orders of its own, large ones and confirmed ones. */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { closedLoop } from '../load.js';
import { ATTACKER, LARGE_ORDER_SKUS, type Scene, SKU } from './scene.js';

const CONFIRMED_ORDERS = 20;
const CLIENTS = 8;
const FINAL_LIMIT_MS = 300_000;
const POLL_MS = 250;

type Answer = { status: number; body: string; retryAfterS: number };

/** @throws Error with the answer if the issuer gives none */
export async function tokenFor(
  issuer: string,
  sub: string,
  role: 'customer' | 'service' | 'operator',
): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ sub, roles: [role], ttl: '8h' });
  const answer = await fetch(`${issuer}/token`, { method: 'POST', headers, body });
  const { access_token: token } = (await answer.json()) as { access_token?: string };
  if (token === undefined) throw new Error(`The issuer answered ${answer.status}`);
  return token;
}

export async function prepare(
  urls: { api: string; metrics: string },
  issuer: string,
  { largeOrders, say }: { largeOrders: number; say: (text: string) => void },
): Promise<Scene> {
  const { api } = urls;
  const [operator, service, token] = await Promise.all([
    tokenFor(issuer, 'siege-operator', 'operator'),
    tokenFor(issuer, 'siege-shop', 'service'),
    tokenFor(issuer, ATTACKER, 'customer'),
  ]);
  const agent = new Agent({ keepAlive: true });
  const send = async (method: string, path: string, bearer: string, body?: object): Promise<Answer> => {
    for (;;) {
      const answer = await exchange(agent, method, new URL(path, api), bearer, body);
      if (answer.status !== 429 && answer.status !== 503) {
        if (answer.status < 300) return answer;
        throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
      }
      await sleep(answer.retryAfterS * 1_000);
    }
  };
  const stock = (sku: string, onHand: number) =>
    send('PUT', `/inventory/${sku}`, operator, { name: sku, unitPrice: 100, currency: 'USD', onHand });
  await stock(SKU, 10_000_000);
  for (const sku of LARGE_ORDER_SKUS) await stock(sku, 0);

  const place = async (skus: string[]): Promise<string> => {
    const items = skus.map((sku) => ({ sku, quantity: 1 }));
    const order = { customerId: ATTACKER, items, paymentMethod: 'pm_card_visa' };
    return (JSON.parse((await send('POST', '/orders', service, order)).body) as { id: string }).id;
  };
  say(`${largeOrders} orders with ${LARGE_ORDER_SKUS.length} lines each …`);
  const largeIds = await closedLoop({ clients: CLIENTS, count: largeOrders }, () => place(LARGE_ORDER_SKUS));
  const confirmedIds = await closedLoop({ clients: CLIENTS, count: CONFIRMED_ORDERS }, () => place([SKU]));
  const until = performance.now() + FINAL_LIMIT_MS;
  for (const id of [...confirmedIds, ...largeIds]) {
    for (;;) {
      const { status } = JSON.parse((await send('GET', `/orders/${id}`, service)).body) as { status: string };
      if (status !== 'PENDING') break;
      if (performance.now() > until) throw new Error(`Order ${id} is PENDING still`);
      await sleep(POLL_MS);
    }
  }
  agent.destroy();
  return { ...urls, token, largeIds, confirmedIds };
}

function exchange(agent: Agent, method: string, url: URL, bearer: string, body?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers: Record<string, string> = { authorization: `Bearer ${bearer}` };
    if (text !== undefined) headers['content-type'] = 'application/json';
    const outgoing = request(url, { agent, method, headers }, (answer) => {
      let received = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (received += chunk));
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          body: received,
          retryAfterS: Number(answer.headers['retry-after'] ?? 1),
        }),
      );
    });
    outgoing.once('error', reject);
    outgoing.end(text);
  });
}
