/** A sandbox of one's own on a free port, and the official client to talk to it. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import Stripe from 'stripe';
import { createSandbox, type SandboxOptions } from '../../sandbox/server.js';

export interface Running {
  url: string;
  dataDir: string;
  stripe: Stripe;
  close(): Promise<void>;
}

const folders: string[] = [];
const running = new Set<Running>();

export async function newDataDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sandbox-test-'));
  folders.push(folder);
  return folder;
}

/** Without delays, unless the test asks for them. */
export async function startSandbox(options: Partial<SandboxOptions> = {}): Promise<Running> {
  const dataDir = options.dataDir ?? (await newDataDir());
  const timing = { searchLagMs: 0, hangMs: 60_000, slowMs: 20, processingMs: 20 };
  const app = await createSandbox({ logger: pino({ level: 'silent' }), ...timing, ...options, dataDir });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const sandbox: Running = {
    url: `http://127.0.0.1:${port}`,
    dataDir,
    stripe: clientFor(port),
    async close() {
      running.delete(sandbox);
      await app.close();
    },
  };
  running.add(sandbox);
  return sandbox;
}

/** Without retries of its own: the tests want to see each answer. */
export function clientFor(port: number, options: { timeout?: number; apiKey?: string } = {}): Stripe {
  const { apiKey = 'sk_test_1', timeout = 10_000 } = options;
  return new Stripe(apiKey, {
    host: '127.0.0.1',
    port,
    protocol: 'http',
    maxNetworkRetries: 0,
    timeout,
    telemetry: false,
  });
}

/** For `afterEach`. */
export async function cleanUp(): Promise<void> {
  await Promise.all([...running].map((sandbox) => sandbox.close()));
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
}

export function order(orderId: string, paymentMethod = 'pm_card_visa', amount = 9_800) {
  const terms = { amount, currency: 'usd', payment_method: paymentMethod, confirm: true };
  return { ...terms, metadata: { orderId } } satisfies Stripe.PaymentIntentCreateParams;
}

/** What the promise was rejected with. */
export async function errorOf(promise: Promise<unknown>): Promise<Stripe.errors.StripeError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('error' in outcome) return outcome.error as Stripe.errors.StripeError;
  throw new Error(`Expected a rejection, got ${JSON.stringify(outcome.value)}`);
}

/** Asks until the answer is there. */
export async function until<T>(ask: () => Promise<T | undefined> | T | undefined, deadlineMs = 10_000): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  while (Date.now() < deadline) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`Nothing came within ${deadlineMs} ms.`);
}

export async function setFault(sandbox: Running, fault: object): Promise<void> {
  const body = JSON.stringify(fault);
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${sandbox.url}/sandbox/faults`, { method: 'POST', headers, body });
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
}

/** What a bank or a customer does: `refunds/re_1/fail`. @returns the status and the answer */
export async function intervene(sandbox: { url: string }, path: string, body?: object) {
  const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(`${sandbox.url}/sandbox/${path}`, { method: 'POST', ...(body ? json : {}) });
  return { status: response.status, body: (await response.json()) as { [name: string]: unknown } };
}

export async function ledgerOf(sandbox: { url: string }, orderId?: string) {
  const response = await fetch(`${sandbox.url}/sandbox/ledger${orderId ? `?orderId=${orderId}` : ''}`);
  return (await response.json()) as {
    net: number;
    captured: number;
    refunded: number;
    charges: { status: string; idempotency_key: string | null }[] & Record<string, number>;
    currencies: Record<string, { captured: number; refunded: number; net: number; pending: number; failed: number }>;
    ordersChargedMoreThanOnce: { count: number };
    chargesWithoutOrder: number;
  };
}
