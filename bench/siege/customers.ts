/** Customers who order while the service is besieged, each at its own pace with a token of its own; and a supervisor that asks for health. */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { SKU } from './scene.js';

export type Timed = { waitsMs: number[]; failed: Record<string, number> };
/** `health`: of the API's own port; `sideHealth`: of the port for supervisors and metrics. */
export type Noticed = { orders: Timed; health: Timed; sideHealth: Timed };

/** All of them together send an order that often: far below what the service can do. */
const PACE_MS = 50;
/** What a shop's page bears with. */
const ANSWER_LIMIT_MS = 10_000;
const HEALTH_EVERY_MS = 250;
const HEALTH_LIMIT_MS = 5_000;

/** @param tokens by customer */
export async function orderSteadily(
  { api, metrics }: { api: string; metrics: string },
  tokens: Map<string, string>,
  forMs: number,
): Promise<Noticed> {
  const until = performance.now() + forMs;
  const [orders, health, sideHealth] = await Promise.all([
    placeOrders(api, tokens, until),
    askForHealth(api, until),
    askForHealth(metrics, until),
  ]);
  return { orders, health, sideHealth };
}

async function placeOrders(api: string, tokens: Map<string, string>, until: number): Promise<Timed> {
  const customers = [...tokens].map(([id, token]) => ({ id, token, agent: new Agent({ keepAlive: true }) }));
  const sent: Promise<Outcome>[] = [];
  // A slow answer must not spare the next ones.
  for (let n = 0; performance.now() < until; n++) {
    const { id, token, agent } = customers[n % customers.length] as (typeof customers)[number];
    const items = [{ sku: SKU, quantity: 1 }];
    const body = JSON.stringify({ customerId: id, items, paymentMethod: 'pm_card_visa' });
    sent.push(ask(new URL('/orders', api), agent, { limitMs: ANSWER_LIMIT_MS, wanted: 201, token, body }));
    await sleep(PACE_MS);
  }
  const timed = summary(await Promise.all(sent));
  for (const { agent } of customers) agent.destroy();
  return timed;
}

async function askForHealth(base: string, until: number): Promise<Timed> {
  const checks: Promise<Outcome>[] = [];
  while (performance.now() < until) {
    // A new connection each time, as supervisors do.
    checks.push(ask(new URL('/livez', base), new Agent(), { limitMs: HEALTH_LIMIT_MS, wanted: 200 }));
    await sleep(HEALTH_EVERY_MS);
  }
  return summary(await Promise.all(checks));
}

function summary(outcomes: Outcome[]): Timed {
  const timed: Timed = { waitsMs: [], failed: {} };
  for (const outcome of outcomes) {
    if ('ms' in outcome) timed.waitsMs.push(outcome.ms);
    else timed.failed[outcome.failure] = (timed.failed[outcome.failure] ?? 0) + 1;
  }
  return timed;
}

type Outcome = { ms: number } | { failure: string };

function ask(
  url: URL,
  agent: Agent,
  { limitMs, wanted, token, body }: { limitMs: number; wanted: number; token?: string; body?: string },
): Promise<Outcome> {
  const from = performance.now();
  return new Promise((resolve) => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const outgoing = request(url, { agent, method: body === undefined ? 'GET' : 'POST', headers }, (answer) => {
      answer.resume();
      answer.once('error', () => resolve({ failure: 'cut' }));
      answer.once('end', () =>
        resolve(answer.statusCode === wanted ? { ms: performance.now() - from } : { failure: `${answer.statusCode}` }),
      );
    });
    outgoing.setTimeout(limitMs, () => outgoing.destroy(new Error('no answer in time')));
    outgoing.once('error', (err: NodeJS.ErrnoException) => resolve({ failure: err.code ?? err.message }));
    outgoing.end(body);
  });
}
