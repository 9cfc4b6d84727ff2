/**
 * The network between our processes and what they need: silent, deaf, slow or resetting connections, one link at a time,
 * while orders come in. Clients are answered within a limit, whatever the answer; and when the link is well again, every
 * order that was accepted comes to its end. `FULL=1` has every fault on every link.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Order } from '../../clients/typescript/client.js';
import { freePort } from '../../local/processes/ports.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { type Link, type LinkFault, startLink } from '../../testbed/link.js';
import { isServing, orderOne, type Surroundings, startSurroundings } from '../support/surroundings.js';

const FULL = process.env['FULL'] === '1';
const LINKS = [
  'api-postgres',
  'api-temporal',
  'worker-postgres',
  'worker-temporal',
  'worker-gateway',
  'relay-postgres',
  'relay-webhook',
] as const;
type LinkName = (typeof LINKS)[number];
const everyFault: LinkFault[] = ['silent', 'deaf', 'slow', 'reset'];
const all = everyFault.flatMap((fault) => LINKS.map((link) => ({ link, fault })));
/**
 * Silence is the hardest to notice; and a refused Temporal has drivers try on beyond their deadlines. The worker's silent Temporal
 * takes a minute to heal, and a frozen one is tried by frozen.test.ts.
 */
const isHard = ({ link, fault }: (typeof all)[number]) =>
  (fault === 'silent' && link !== 'worker-temporal') || (link === 'api-temporal' && fault === 'reset');
const cells = all.filter((cell) => FULL || isHard(cell));

const FAULT_MS = 6_000;
const ORDER_EVERY_MS = 300;
/** A statement's limit and a connection's, and a margin for a busy machine. */
const ANSWER_LIMIT_MS = 10_000;
/** Whoever has no limit of its own waits for 4.5 s. */
const HEALTH_LIMIT_MS = 4_000;
/** Temporal's own driver would try on for 10 s. */
const SAGA_LIMIT_MS = 7_000;
/**
 * From the healing to all processes at work. The SDK's client of Temporal finds out by its pings that a connection is dead: every
 * 30 s one, which is waited for 15 s.
 */
const healLimitMs = (link: LinkName) => (link.endsWith('temporal') ? 75_000 : 30_000);
const LIMIT_MS = 240_000;

let around: Surroundings;
let api: string;
const links = new Map<LinkName, Link>();
beforeAll(async () => {
  around = await startSurroundings();
  const { temporal, database, sandbox, receiver } = around;
  await stock(database.db, 'A', 100_000);
  const through = async (name: LinkName, target: string) => {
    const link = await startLink(target);
    links.set(name, link);
    return link.address;
  };
  const url = async (name: LinkName, target: string) => {
    const changed = new URL(target);
    changed.host = await through(name, changed.host);
    return changed.href;
  };
  await around.start(
    {
      ROLE: 'worker',
      DATABASE_URL: await url('worker-postgres', database.url),
      TEMPORAL_ADDRESS: await through('worker-temporal', temporal.address),
      PAYMENTS_URL: await url('worker-gateway', sandbox.url),
    },
    async (log) => (await readFile(log, 'utf8')).includes('the worker polls'),
  );
  await around.start(
    {
      ROLE: 'relay',
      DATABASE_URL: await url('relay-postgres', database.url),
      TEMPORAL_ADDRESS: temporal.address,
      ...around.webhook(await url('relay-webhook', receiver.url)),
    },
    async () => true,
  );
  const port = await freePort();
  api = `http://127.0.0.1:${port}`;
  await around.start(
    {
      ROLE: 'api',
      PORT: `${port}`,
      DATABASE_URL: await url('api-postgres', database.url),
      TEMPORAL_ADDRESS: await through('api-temporal', temporal.address),
    },
    () => isServing(api),
  );
}, LIMIT_MS);
afterAll(async () => {
  await Promise.all([...links.values()].map((link) => link.stop()));
  await around?.stop();
}, 60_000);

let keys = 0;
type Asked = { key: string; status: number | 'none'; ms: number; id?: string };

async function place(key: string): Promise<Asked> {
  const from = performance.now();
  const answer = await orderOne(api, key, 'cus_links', 3 * ANSWER_LIMIT_MS).catch(() => undefined);
  const ms = performance.now() - from;
  if (answer?.status !== 201) return { key, status: answer?.status ?? 'none', ms };
  return { key, status: 201, ms, id: ((await answer.json()) as Order).id };
}

/** @returns of these paths, those that were not answered, with whatever status, within so many milliseconds */
async function lateAnswers(limits: Record<string, number>): Promise<string[]> {
  const late = Object.entries(limits).map(async ([path, limitMs]) => {
    const answer = await fetch(`${api}${path}`, { signal: AbortSignal.timeout(limitMs) }).catch(() => undefined);
    return answer === undefined ? [path] : [];
  });
  return (await Promise.all(late)).flat();
}

test.each(cells)(
  '$link $fault: clients are answered, and when it is well again every order comes to its end',
  async ({ link: name, fault }) => {
    const link = links.get(name) as Link;
    const known = (await place(`k-${++keys}`)).id;
    link.fail(fault);
    const asked: Promise<Asked>[] = [];
    const until = performance.now() + FAULT_MS;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        asked.push(place(`k-${++keys}`));
        if (performance.now() < until) return;
        clearInterval(timer);
        resolve();
      }, ORDER_EVERY_MS);
    });
    const late = await lateAnswers({
      '/livez': HEALTH_LIMIT_MS,
      '/readyz': HEALTH_LIMIT_MS,
      '/admin/sagas': ANSWER_LIMIT_MS,
      [`/orders/${known}/saga`]: name === 'api-temporal' ? SAGA_LIMIT_MS : ANSWER_LIMIT_MS,
    });
    link.heal();
    expect(late).toEqual([]);
    const first = await Promise.all(asked);
    expect(first.filter(({ ms }) => ms > ANSWER_LIMIT_MS)).toEqual([]);
    expect(first.filter(({ status }) => status !== 201 && status !== 503)).toEqual([]);

    const ids: string[] = [];
    for (const { key, id } of first) {
      ids.push(id ?? (await eventually(`${key} is accepted`, async () => (await place(key)).id, healLimitMs(name))));
    }
    expect(new Set(ids).size).toBe(first.length);
    await eventually(
      'all are confirmed',
      async () => {
        const open = await around.database.db.order.count({ where: { id: { in: ids }, status: { not: 'CONFIRMED' } } });
        if (open > 0) throw new Error(`${open} of ${ids.length} are not`);
        return true;
      },
      healLimitMs(name),
    );
    await eventually(
      'all their events have arrived',
      () => ids.every((id) => around.receiver.sequences(id).length === 4),
      30_000,
    );
  },
  LIMIT_MS,
);

test('and all ledgers together are right', () => around.expectRight(keys));
