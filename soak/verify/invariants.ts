/** All invariants of the ledgers, a page of orders at a time: their cost grows with the square of what is looked at at once. */
import { orderIdOf } from '../../contracts/ids.js';
import type { CloudEvent } from '../../contracts/events.js';
import { checkInvariants, type Finding, INVARIANT_NAMES, type InvariantName } from '../../verification/invariants.js';
import type { LedgerCharge, LedgerEvent, Ledgers } from '../../verification/ledgers.js';
import { readAll } from '../../testbed/brokers/readers.js';
import type { Installation } from '../world/installation.js';
import { readCharges } from '../../testbed/gateway-ledger.js';
import { groupBy } from './grouping.js';
import { readCursors, readKeys } from './answers.js';
import { holdStandings, OF_STANDINGS, readStandings } from './standings.js';
import { readInHand, readInstallationId, readPages, readStock } from './postgres.js';
import { readSagas } from './temporal.js';

const PAGE_SIZE = 200;
const OF_STOCK = ['I2 stock is conserved'] as const satisfies InvariantName[];
const OF_THE_WHOLE = [
  'I5 sagas are of orders',
  'I7 what was answered is there',
  'I8 destinations are served',
] as const satisfies InvariantName[];
/** All others. */
const ELSEWHERE: readonly InvariantName[] = [...OF_STOCK, ...OF_THE_WHOLE, ...OF_STANDINGS];
const OF_ORDERS = INVARIANT_NAMES.filter((name) => !ELSEWHERE.includes(name));

/** All charges; ours are those that carry this installation's mark. */
export async function readGateway({ pool, direct }: Pick<Installation, 'pool' | 'direct'>): Promise<LedgerCharge[]> {
  const own = await readInstallationId(pool);
  return readCharges(direct.gateway, ({ installationId }) => installationId === own);
}

/** @returns of each invariant how many rows it looked at, and what is wrong */
export async function holdInvariants(around: Installation): Promise<Finding[]> {
  const { pool, direct } = around;
  const sums = new Map<InvariantName, Finding>();
  const add = (findings: Finding[]) => {
    for (const { invariant, checked, violations } of findings) {
      const sum = sums.get(invariant) ?? { invariant, checked: 0, violations: [] };
      sums.set(invariant, sum);
      sum.checked += checked;
      sum.violations.push(...violations);
    }
  };
  const inHand = await readInHand(pool);
  const charges = await readGateway(around);
  const ofOrder = groupBy(charges, ({ orderId }) => orderId);
  const listed = await readSagas(direct.temporal);
  const sagas = groupBy(listed, ({ workflowId }) => orderIdOf(workflowId));
  const consumers = await readConsumers(around);
  for await (const page of readPages(pool, PAGE_SIZE)) {
    const ids = page.orders.map(({ id }) => id);
    const of = <Row>(rows: Map<string | null, Row[]> | Map<string, Row[]>) =>
      ids.flatMap((id) => (rows as Map<string, Row[]>).get(id) ?? []);
    const ledgers: Ledgers = {
      ...page,
      stock: [],
      inHand,
      charges: of(ofOrder),
      sagas: of(sagas),
      delivered: Object.fromEntries([...consumers].map(([name, events]) => [name, of(events)])),
    };
    add(checkInvariants(ledgers, OF_ORDERS));
    for (const id of ids) {
      ofOrder.delete(id);
      sagas.delete(id);
    }
  }
  // What names no order that there is: of our charges none may be left, and no saga.
  const rest = { orders: [], events: [], stock: [], inHand, charges: [...ofOrder.values()].flat() };
  add(checkInvariants(rest, ['I1 money', 'I1 strangers are left alone', 'I3 one charge per order']));
  const unclaimed = [...sagas.values()].flat();
  add(checkInvariants({ ...rest, sagas: unclaimed }, ['I5 sagas have ended as their orders']));
  const workflowIds = listed.map(({ workflowId }) => workflowId);
  const claimed = { workflowIds, unknown: unclaimed.map(({ workflowId }) => workflowId) };
  add(
    checkInvariants({ ...rest, claimed, keys: await readKeys(pool), cursors: await readCursors(pool) }, OF_THE_WHOLE),
  );
  add(holdStandings(await readStandings(pool, 'all'), listed));
  add(checkInvariants({ orders: [], events: [], ...(await readStock(pool)) }, OF_STOCK));
  return [...sums.values()];
}

async function readConsumers({ consumer, direct }: Installation): Promise<Map<string, Map<string, LedgerEvent[]>>> {
  const consumers = new Map([['consumer', byOrder(consumer.received)]]);
  if (direct.nats === undefined) return consumers;
  const arrived = await readAll({ name: 'nats', address: `nats://${direct.nats}` });
  return consumers.set('nats', byOrder(arrived.map(({ event }) => event)));
}

const byOrder = (events: readonly CloudEvent[]): Map<string, LedgerEvent[]> =>
  groupBy(
    events.map(({ subject: orderId, sequence, type, data }) => ({
      orderId,
      sequence,
      type,
      data: { ...(data as object) },
    })),
    ({ orderId }) => orderId,
  );
