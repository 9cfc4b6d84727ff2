/**
 * Hostile clients: how long a well-behaved client waits for its 201 while strangers do their worst beside it. `npm run hostile-clients -- <url>`
 * against a service that runs (`npm start`); it orders one piece of SKU-HOSTILE at a time. Attackers and service share the
 * machine, so part of what is seen under a flood is the attackers' own use of the processors.
 */
import { spawn } from 'node:child_process';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than the service bears with a request that does not arrive. */
const PHASE_MS = 20_000;
const ROUNDS = 2;
/** Slow enough that its own orders are no load. */
const PACE_MS = 50;
const ANSWER_LIMIT_MS = 30_000;

const SLOW_HEADERS = 400;
const SLOW_BODIES = 100;
const DRIP_MS = 1_000;
const FLOOD_CONNECTIONS = 100;

type Attack = (api: URL) => { stop: () => Promise<string> };
type Waits = { waitsMs: number[]; failed: number };

const [given] = process.argv.slice(2);
if (given === undefined) throw new Error('Say where the service is: npm run hostile-clients -- http://127.0.0.1:3000');
const target = new URL(given);

const ATTACKS: Record<string, Attack[]> = {
  peace: [],
  slowloris: [slowloris],
  flood: [flood],
  both: [slowloris, flood],
};

await stock(target);
const measured = Object.fromEntries(Object.keys(ATTACKS).map((name) => [name, { waitsMs: [], failed: 0 } as Waits]));
const remarks: string[] = [];
for (let round = 1; round <= ROUNDS; round++) {
  for (const [name, attacks] of Object.entries(ATTACKS)) {
    process.stderr.write(`[hostile-clients] ${name}, round ${round} of ${ROUNDS}\n`);
    const under = attacks.map((attack) => attack(target));
    const { waitsMs, failed } = await orderSteadily(target);
    const seen = measured[name] as Waits;
    seen.waitsMs.push(...waitsMs);
    seen.failed += failed;
    for (const attack of under) remarks.push(`${name}: ${await attack.stop()}`);
  }
}
process.stdout.write(`${table(measured)}\n\n${remarks.join('\n')}\n`);
process.exit(0); // what the attackers still hold open may be cut

async function stock(api: URL): Promise<void> {
  const body = JSON.stringify({ name: 'Hostile clients', unitPrice: 100, currency: 'USD', onHand: 1_000_000 });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(new URL('/inventory/SKU-HOSTILE', api), { method: 'PUT', headers, body });
  if (!answer.ok) throw new Error(`PUT /inventory/SKU-HOSTILE: ${answer.status} ${await answer.text()}`);
}

/** A client that orders at its own pace, whether or not it has been answered: a slow answer must not spare the next ones. */
async function orderSteadily(api: URL): Promise<Waits> {
  const agent = new Agent({ keepAlive: true });
  const sent: Promise<number | undefined>[] = [];
  const end = performance.now() + PHASE_MS;
  while (performance.now() < end) {
    sent.push(order(api, agent));
    await sleep(PACE_MS);
  }
  const waits = await Promise.all(sent);
  agent.destroy();
  const waitsMs = waits.filter((ms) => ms !== undefined);
  return { waitsMs, failed: waits.length - waitsMs.length };
}

/** @returns how long the 201 took; undefined for any other answer, and for none */
function order(api: URL, agent: Agent): Promise<number | undefined> {
  const body =
    '{"customerId":"cus_hostile","items":[{"sku":"SKU-HOSTILE","quantity":1}],"paymentMethod":"pm_card_visa"}';
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const from = performance.now();
  return new Promise((resolve) => {
    const options = { agent, method: 'POST', headers, timeout: ANSWER_LIMIT_MS };
    const outgoing = request(new URL('/orders', api), options, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode === 201 ? performance.now() - from : undefined));
    });
    outgoing.once('timeout', () => outgoing.destroy());
    outgoing.once('error', () => resolve(undefined)).end(body);
  });
}

/** Connections that say a little every second and never finish; each that is cut comes back at once. */
function slowloris(api: URL): ReturnType<Attack> {
  const sockets = new Set<Socket>();
  let cut = 0;
  let stopped = false;
  const open = (head: string, drip: string): void => {
    const socket = connect(Number(api.port), api.hostname, () => socket.write(head));
    sockets.add(socket);
    const dripping = setInterval(() => socket.write(drip), DRIP_MS);
    socket.on('error', () => undefined).resume();
    socket.once('close', () => {
      clearInterval(dripping);
      sockets.delete(socket);
      if (stopped) return;
      cut++;
      open(head, drip);
    });
  };
  const head = 'POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
  for (let i = 0; i < SLOW_HEADERS; i++) open(head, 'X-Slow: 1\r\n');
  for (let i = 0; i < SLOW_BODIES; i++) open(`${head}Content-Length: 60000\r\n\r\n`, ' ');
  return {
    stop: async () => {
      stopped = true;
      const held = sockets.size;
      for (const socket of sockets) socket.destroy();
      return `${held} slow connections held, ${cut} cut by the service`;
    },
  };
}

/** As many refusable orders as 100 connections carry, from a process of its own. */
function flood(api: URL): ReturnType<Attack> {
  const program = ['node_modules/autocannon/autocannon.js', '--json', '--no-progress'];
  const body = '{"customerId":"cus_flood","items":[]}';
  const limits = ['-c', `${FLOOD_CONNECTIONS}`, '-d', `${PHASE_MS / 1000}`];
  const what = ['-m', 'POST', '-H', 'content-type: application/json', '-b', body, `${api.origin}/orders`];
  const child = spawn(process.execPath, [...program, ...limits, ...what], { stdio: ['ignore', 'pipe', 'ignore'] });
  const closed = new Promise((resolve) => child.once('close', resolve)); // with all it has said
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk));
  return {
    stop: async () => {
      await closed;
      const seen = JSON.parse(output || '{}') as { requests?: { average: number }; statusCodeStats?: object };
      return `flood of ${seen.requests?.average ?? '?'} requests/s, answered ${JSON.stringify(seen.statusCodeStats ?? {})}`;
    },
  };
}

function table(results: Record<string, Waits>): string {
  const lines = Object.entries(results).map(([name, { waitsMs, failed }]) => {
    const sorted = waitsMs.toSorted((a, b) => a - b);
    const at = (q: number) => (sorted[Math.ceil(q * sorted.length) - 1] ?? Number.NaN).toFixed(1);
    return [name, `${sorted.length}`, `${failed}`, at(0.5), at(0.99), at(1)].map((cell) => cell.padStart(10)).join(' ');
  });
  const head = ['beside', 'orders', 'failed', 'p50 ms', 'p99 ms', 'max ms'].map((cell) => cell.padStart(10)).join(' ');
  return [head, ...lines].join('\n');
}
