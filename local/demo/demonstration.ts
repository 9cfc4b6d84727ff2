/** The means of the demonstration: the processes that the launcher runs, the sandbox's faults, and the API as any client has it. */
import { randomUUID } from 'node:crypto';
import { isLoopbackHost } from '../../runtime/listeners/loopback.js';
import { apiUrl, sandboxUrl } from '../services.js';
import { type Settings, servesHttp } from '../settings.js';
import type { Supervisor } from '../processes/supervisor.js';
import { DEMO_DESTINATION, type Receiver } from './receiver.js';

const ASK_LIMIT_MS = 5_000;
const READY_LIMIT_MS = 60_000;
const READY_POLL_MS = 200;
const SKUS = ['SKU-KEYBOARD', 'SKU-MOUSE', 'SKU-MONITOR', 'SKU-CABLE', 'SKU-TEE-EUR'];

export type Demonstration = {
  hasSandbox: boolean;
  /** No destination of theirs would be replaced. */
  mayHaveReceiver: boolean;
  /** `isWhole`: there is no worker by itself, so that the API stands still with it. */
  targets: { what: string; isWhole: boolean };
  setGateway(state: 'down' | 'up'): Promise<void>;
  /** @returns the processes */
  freeze(): number[];
  thaw(pids: number[]): void;
  kill(): number[];
  /** @returns the orders' ids */
  place(count: number): Promise<string[]>;
  /** Has the service deliver its events there. */
  deliverTo(receiver: Receiver): Promise<void>;
};

export type DemoPlace = {
  settings: Settings;
  supervisor: Supervisor;
  /** Environment of every service process, from its next start on. */
  setServiceEnv: (env: NodeJS.ProcessEnv) => void;
  /** Noted before rows of the destination come about, so that the next start removes them. */
  noteDestination: () => void;
  env: NodeJS.ProcessEnv;
};

export function createDemonstration({
  settings,
  supervisor,
  setServiceEnv,
  noteDestination,
  env,
}: DemoPlace): Demonstration {
  const isWhole = !settings.roles.includes('worker');
  const isTarget = (name: string) =>
    isWhole ? settings.roles.some((role) => role === name) : /^worker(-\d+)?$/.test(name);
  const pids = () => supervisor.list().flatMap(({ name, pid }) => (pid !== undefined && isTarget(name) ? [pid] : []));
  let isDelivering = false;
  return {
    hasSandbox: settings.PAYMENTS_URL === undefined,
    mayHaveReceiver: env['WEBHOOK_URL'] === undefined && env['WEBHOOK_URL_FILE'] === undefined,
    targets: { what: isWhole ? 'the service' : 'the workers', isWhole },
    setGateway: async (state) => {
      const faults = `${sandboxUrl(settings)}/sandbox/faults`;
      await (state === 'down' ? ask(faults, 'POST', { mode: 'down', route: 'all' }) : ask(faults, 'DELETE'));
    },
    freeze: () => pids().filter((pid) => signal(pid, 'SIGSTOP')),
    // Only what still runs under its id: it may be another program's by now.
    thaw: (frozen) => frozen.filter((pid) => pids().includes(pid)).forEach((pid) => void signal(pid, 'SIGCONT')),
    kill: () => pids().filter((pid) => signal(pid, 'SIGKILL')),
    place: async (count) => {
      await untilReady(`${apiUrl(settings)}/readyz`);
      return Promise.all(Array.from({ length: count }, (_, i) => placeOrder(settings, i)));
    },
    deliverTo: async (receiver) => {
      if (isDelivering) return;
      noteDestination();
      setServiceEnv(receiver.env);
      await supervisor.restart('service');
      isDelivering = true;
    },
  };
}

/** Only where nobody but this machine reaches the API, and everybody who does is its user. */
export const isDemoPossible = ({ HOST, AUTH_ISSUER, LOCAL_DEMO, roles }: Settings): boolean =>
  LOCAL_DEMO && AUTH_ISSUER === undefined && roles.some(servesHttp) && isLoopbackHost(HOST);

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false; // it has ended
  }
}

async function placeOrder(settings: Settings, i: number): Promise<string> {
  const order = {
    customerId: `demo-${1 + (i % 5)}`,
    items: [{ sku: SKUS[i % SKUS.length], quantity: 1 + (i % 3) }],
    paymentMethod: 'pm_card_visa',
  };
  const response = await ask(`${apiUrl(settings)}/orders`, 'POST', order, {
    'idempotency-key': `demo-${randomUUID()}`,
  });
  return ((await response.json()) as { id: string }).id;
}

async function ask(
  url: string,
  method: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  const response = await fetch(url, {
    ...{ method, signal: AbortSignal.timeout(ASK_LIMIT_MS) },
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (response.ok) return response;
  throw new Error(
    `${method} ${new URL(url).pathname} was answered ${response.status}: ${(await response.text()).slice(0, 200)}`,
  );
}

async function untilReady(url: string): Promise<void> {
  const deadline = performance.now() + READY_LIMIT_MS;
  for (;;) {
    const isReady = await ask(url, 'GET').then(
      () => true,
      () => false,
    );
    if (isReady) return;
    if (performance.now() > deadline) throw new Error(`${DEMO_DESTINATION}: the API is not ready`);
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}
