/** Orders from where customers stand: placed, tried again under the same key while they are not accepted, and asked for until they are final. */
import { randomUUID } from 'node:crypto';
import { PORT, seconds } from './engine.mjs';

const API = `http://127.0.0.1:${PORT}`;
const ISSUER = 'http://127.0.0.1:12112';
const TRIES = 150;
const TOKEN_TRIES = 3;
const PAUSE_MS = 300;
const LIMIT_MS = 10_000;

export async function token(sub, role) {
  const body = new URLSearchParams({ sub, role });
  for (let nth = 1; ; nth++) {
    try {
      return (await (await fetch(`${ISSUER}/token`, { method: 'POST', body })).json()).access_token;
    } catch (err) {
      if (nth === TOKEN_TRIES) throw new Error(`no token: ${nameOf(err).status}`, { cause: err }); // a kept connection may have gone while a command held this process up
      await pause();
    }
  }
}

async function ask(path, bearer, init = {}) {
  const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', ...init.headers };
  const answer = await fetch(`${API}${path}`, { ...init, headers, signal: AbortSignal.timeout(LIMIT_MS) });
  return { status: answer.status, body: await answer.json() };
}

/** What stands for an answer that did not come: the connection's error, or that of the time. */
const nameOf = (err) => ({ status: err.cause?.code ?? err.name });
const said = (counts, before = '', after = '') => {
  const all = Object.entries(counts).map(([what, n]) => `${what} ${n}`);
  return all.length === 0 ? '' : `${before}${all.join(', ')}${after}`;
};

/** @returns of `count` orders: how many were accepted, with how many further tries, and how long all of that took */
export async function place(count, { atATime = 8 } = {}) {
  const bearer = await token('proof', 'service');
  const began = performance.now();
  const ids = [];
  const refused = {};
  let again = 0;
  let next = 0;
  const one = async () => {
    const key = randomUUID();
    const body = JSON.stringify({
      customerId: `cus_${key.slice(0, 2)}`,
      items: [{ sku: 'SKU-KEYBOARD', quantity: 1 }],
      paymentMethod: 'pm_card_visa',
    });
    for (let nth = 1; nth <= TRIES; nth++) {
      const answer = await ask('/orders', bearer, { method: 'POST', body, headers: { 'idempotency-key': key } }).catch(
        nameOf,
      );
      if (answer.status === 201) return void ids.push(answer.body.id);
      again++;
      refused[answer.status] = (refused[answer.status] ?? 0) + 1;
      await pause();
    }
  };
  const client = async () => {
    while (next++ < count) await one();
  };
  await Promise.all(Array.from({ length: atATime }, client));
  return {
    ids,
    again: `${again} requests tried again${said(refused, ' (', ')')}`,
    acceptedS: seconds((performance.now() - began) / 1_000),
    began,
  };
}

/** @returns how they have ended, as `CONFIRMED 100`; those that are not final by then as `open` */
export async function finals({ ids, began }, limitS = 180) {
  const bearer = await token('proof', 'service');
  const open = new Set(ids);
  const counts = {};
  const refused = {};
  const cancelled = [];
  while (open.size > 0 && performance.now() - began < limitS * 1_000) {
    for (const id of [...open].slice(0, 50)) {
      const answer = await ask(`/orders/${id}`, bearer).catch(nameOf);
      const status = answer.body?.status;
      if (answer.status !== 200) refused[answer.status] = (refused[answer.status] ?? 0) + 1;
      if (answer.status !== 200 || !['CONFIRMED', 'CANCELLED'].includes(status)) continue;
      counts[status] = (counts[status] ?? 0) + 1;
      if (status === 'CANCELLED') cancelled.push(`${id} ${JSON.stringify(answer.body.cancellation)}`);
      open.delete(id);
    }
    if (open.size > 0) await pause();
  }
  if (open.size > 0) counts.open = open.size;
  if (open.size > 0) cancelled.push(`open: ${[...open].slice(0, 3).join(', ')}`);
  return {
    said: [said(counts), ...cancelled].join('; '),
    refused: said(refused, '; asked again: '),
    allConfirmed: counts.CONFIRMED === ids.length,
    tookS: seconds((performance.now() - began) / 1_000),
  };
}

/** Placed and ended; throws unless every one is confirmed. */
export async function confirmed(count, options) {
  const placed = await place(count, options);
  const { said, allConfirmed, tookS, refused } = await finals(placed);
  if (!allConfirmed || placed.ids.length !== count)
    throw new Error(`Of ${count} orders: ${placed.ids.length} accepted, ${said}.`);
  return { count, again: `${placed.again}${refused}`, acceptedS: placed.acceptedS, tookS };
}

/** The page's stock is soon sold. */
export async function stockUp(bearer) {
  const body = JSON.stringify({ name: 'Mechanical keyboard', unitPrice: 4900, currency: 'USD', onHand: 1_000_000 });
  const { status } = await ask('/inventory/SKU-KEYBOARD', bearer, { method: 'PUT', body });
  if (status !== 200) throw new Error(`the stock cannot be set: ${status}`);
}

export const pause = (ms = PAUSE_MS) => new Promise((resolve) => setTimeout(resolve, ms));
export const apiAnswers = async () => (await fetch(`${API}/livez`, { signal: AbortSignal.timeout(1_000) })).ok;
