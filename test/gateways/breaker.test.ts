import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { protectGateway } from '../../gateways/breaker.js';
import { GatewayUnknown } from '../../gateways/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { freePort } from '../../local/processes/ports.js';
import { createSandbox } from '../../sandbox/server.js';

let gateway: ReturnType<typeof protectGateway>;
let lines: { level: string; breaker: string; probeInMs?: number }[];
/** Our clock, in ms; only a test moves it. */
let clock: number;
let port: number;
let hole: BlackHole | undefined;
let sandbox: FastifyInstance | undefined;
let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'order-saga-breaker-'));
  port = await freePort();
  clock = 0;
  lines = [];
  const logger = pino(
    { level: 'debug', formatters: { level: (level) => ({ level }) } },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  );
  const real = createPaymentGateway({ url: `http://127.0.0.1:${port}`, apiKey: 'sk_test_breaker', timeoutMs: 300 });
  gateway = protectGateway(real, logger, () => clock);
});
afterEach(async () => {
  await hole?.stop();
  await sandbox?.close();
  hole = sandbox = undefined;
  await rm(dataDir, { recursive: true, force: true });
});

describe('the breaker before the gateway', () => {
  test('opens when connections are refused, makes no more requests, and closes with the first answer', async () => {
    for (let n = 0; n < 5; n++) expect(await failureOf(charge('one'))).toMatchObject({ noAnswer: 'refused' });
    expect(gateway.breakerState()).toBe('open');
    hole = await listenAt(port);
    for (let n = 0; n < 20; n++) {
      const refused = await failureOf(charge(`o${n}`));
      expect(refused.retryAfterMs).toBeGreaterThanOrEqual(1_000);
      expect(refused.retryAfterMs).toBeLessThanOrEqual(1_500);
    }
    expect(hole.connections()).toBe(0);
    await hole.stop();

    await startSandbox();
    clock += 1_000;
    expect(await charge('one')).toMatchObject({ outcome: 'charged' });
    expect(gateway.breakerState()).toBe('closed');
    const logged = lines.filter(({ level }) => level !== 'debug');
    expect(logged.map(({ level, breaker }) => [level, breaker])).toEqual([
      ['warn', 'open'],
      ['info', 'closed'],
    ]);
  });

  test('asks once per pause while the connection is cut each time, and pauses longer and longer, up to 10 s', async () => {
    hole = await listenAt(port);
    for (let n = 0; n < 5; n++) await failureOf(charge(`o${n}`));
    expect(gateway.breakerState()).toBe('open');
    for (let probes = 1; probes < 6; probes++) {
      clock += pauses().at(-1) ?? 0;
      const before = hole.connections();
      await Promise.all([1, 2, 3, 4].map((n) => failureOf(charge(`p${n}`))));
      // The client itself asks once more when a connection is cut.
      expect(hole.connections() - before).toBeLessThanOrEqual(2);
    }
    expect(pauses()).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  test('stays closed for one order that hangs again and again: the others are served', async () => {
    await startSandbox();
    await fault({ mode: 'hang', route: 'charge', orderId: 'slow', count: null });
    for (let n = 0; n < 8; n++) expect(await failureOf(charge('slow'))).toMatchObject({ noAnswer: 'broken' });
    expect(gateway.breakerState()).toBe('closed');
    expect(await charge('other')).toMatchObject({ outcome: 'charged' });
  });

  test.each(['down', 'busy', 'error'])('stays closed for answers, as %s is one', async (mode) => {
    await startSandbox();
    await fault({ mode, route: 'charge', count: null });
    for (let n = 0; n < 8; n++) expect(await failureOf(charge(`o${n}`))).toMatchObject({ noAnswer: undefined });
    expect(gateway.breakerState()).toBe('closed');
  });

  test('forgets silences with any answer in between, a 503 as well', async () => {
    await startSandbox();
    for (let n = 0; n < 12; n++) {
      await fault({ mode: 'hang', route: 'charge', count: 1 });
      await failureOf(charge(`o${n}`));
      if (n % 4 !== 3) continue;
      await fault({ mode: 'down', route: 'charge', count: 1 });
      expect(await failureOf(charge(`d${n}`))).toMatchObject({ noAnswer: undefined });
    }
    expect(gateway.breakerState()).toBe('closed');
  });

  test('opens when many different orders hang', async () => {
    await startSandbox();
    await fault({ mode: 'hang', route: 'charge', count: null });
    await Promise.all([1, 2, 3, 4, 5].map((n) => failureOf(charge(`o${n}`))));
    expect(gateway.breakerState()).toBe('open');
  });
});

const charge = (orderId: string, paymentMethod = 'pm_card_visa') =>
  gateway.charge({
    due: { orderId, installationId: null, amount: 100, currency: 'USD' },
    paymentMethod,
    idempotencyKey: `${orderId}/charge`,
    since: new Date(),
    lookUp: async () => ({ spans: [], dbNow: new Date() }),
  });

async function failureOf(work: Promise<unknown>): Promise<GatewayUnknown> {
  const outcome = await work.then(
    () => undefined,
    (err: unknown) => err,
  );
  if (outcome instanceof GatewayUnknown) return outcome;
  throw new Error(`not a GatewayUnknown: ${String(outcome)}`);
}

/** The pauses before each probe, from the log. */
const pauses = () => lines.flatMap((line) => line.probeInMs ?? []);

async function startSandbox(): Promise<void> {
  sandbox = await createSandbox({ dataDir, logger: pino({ level: 'silent' }) });
  await sandbox.listen({ host: '127.0.0.1', port });
}

async function fault(body: object): Promise<void> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  expect((await fetch(`http://127.0.0.1:${port}/sandbox/faults`, init)).status).toBe(201);
}

type BlackHole = { connections(): number; stop(): Promise<void> };

/** Takes connections, and cuts each with a reset once a request has come. */
async function listenAt(at: number): Promise<BlackHole> {
  let connections = 0;
  const server: Server = createServer((socket: Socket) => {
    connections++;
    socket.on('error', () => undefined);
    socket.once('data', () => socket.resetAndDestroy());
  });
  await new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve));
  return {
    connections: () => connections,
    stop: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
