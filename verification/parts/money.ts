/**
 * Money, from the gateway's lists: each charge with the order that it names, and each payment of ours whose charge no list has shown.
 * Newest first, without what is younger than the grace, since that may still be under way.
 */
import type { LedgerCharge as Listed, LedgerRefund, Page, PageRequest } from '../../gateways/payments.js';
import type { InvariantName } from '../invariants.js';
import type { LedgerCharge, LedgerOrder } from '../ledgers.js';
import {
  findCharges,
  type GatewayLists,
  readCharges,
  readRefunds,
  type Refunds,
  toLedger,
} from '../sources/gateway.js';
import { type PaymentPlace, readMoney, readPayments } from '../sources/money.js';
import { type Looked, lookTwice, ofOrders, type Part, type PartOptions, present, type Sources } from './part.js';

/** Pages of a hundred entries that one pass reads of a list: the youngest 100,000. */
const PAGES_MAX = 1_000;
/** Clocks differ by less. */
const CLOCK_SKEW_MS = 5 * 60_000;
const TOGETHER = 50;

type Counter = Pick<Sources, 'db'> & { gateway: GatewayLists; graceMs: number };

const OF_CHARGES: InvariantName[] = ['I1 strangers are left alone', 'I1 the provider agrees with itself'];
const OF_ORDERS: InvariantName[] = ['I1 money', 'I1 payments agree with the gateway', 'I3 one charge per order'];

/** Of single ones it is asked by ids of orders and references of charges. */
export const MONEY: readonly InvariantName[] = [...OF_CHARGES, ...OF_ORDERS];

export const moneyPart: Part = {
  invariants: MONEY,
  needs: 'gateway',
  async *looks({ db, gateway }, options) {
    const counter = { db, gateway: present(gateway), graceMs: options.graceMs };
    const { ids, names } = options;
    if (ids) yield await lookTwice(names, await gather(counter, ids), () => gather(counter, ids));
    else yield* lookAtLists(counter, options);
  },
};

async function* lookAtLists(counter: Counter, { names, since = new Date(0), pageSize }: PartOptions) {
  const { db, gateway, graceMs } = counter;
  const look = async (charges: Listed[], refunds: Refunds, orderIds: string[] = []) =>
    lookTwice(names, await compare(counter, charges, refunds, orderIds), (subjects) =>
      gather(counter, [
        ...subjects,
        ...referencesOf(charges.filter(({ orderId }) => subjects.includes(orderId ?? ''))),
      ]),
    );
  const refunds = await listRefunds(gateway, since);
  const until = new Date((gateway.nowMs() ?? Date.now()) - graceMs);
  const seen = new Set<string>();
  const note = (charges: Listed[]) => {
    for (const { reference } of charges) seen.add(reference);
  };
  let [pages, recordedFrom] = [0, since];
  for await (const charges of pagesOf((request) => gateway.listCharges({ ...request, until }), since)) {
    note(charges);
    yield await look(charges, refunds);
    // What the list was not read for is not held against it.
    if (++pages === PAGES_MAX) recordedFrom = new Date((charges.at(-1)?.createdAt ?? since).getTime() + CLOCK_SKEW_MS);
  }
  const older = [...refunds.keys()].filter((reference) => !seen.has(reference));
  for (const references of chunks(older, TOGETHER)) {
    const charges = (await readCharges(gateway, references)).filter(({ createdAt }) => createdAt <= until);
    note(charges);
    yield await look(charges, refunds);
  }
  for (let after: PaymentPlace | undefined; ; ) {
    const { payments, last } = await readPayments(db, recordedFrom, pageSize, after);
    const unseen = payments.filter(({ reference }) => reference === null || !seen.has(reference));
    const charges = await readCharges(
      gateway,
      unseen.flatMap(({ reference }) => reference ?? []),
    );
    const orderIds = unseen.map(({ orderId }) => orderId);
    yield await look(charges, await readRefunds(gateway, charges), orderIds);
    if (last === undefined) return;
    after = last;
  }
}

async function* pagesOf<T>(list: (request: PageRequest) => Promise<Page<T>>, since: Date): AsyncGenerator<T[]> {
  let after: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await list({ since, ...(after !== undefined && { after }) });
    yield page.items;
    after = page.after;
    if (after === undefined) return;
  }
}

/** A refund is younger than its charge: these are all of those of the charges that are looked at. */
async function listRefunds(gateway: GatewayLists, since: Date): Promise<Map<string, LedgerRefund[]>> {
  const refunds = new Map<string, LedgerRefund[]>();
  for await (const page of pagesOf((request) => gateway.listRefunds(request), since))
    for (const refund of page)
      refunds.set(refund.chargeReference, [...(refunds.get(refund.chargeReference) ?? []), refund]);
  return refunds;
}

/** Reads anew all that there is about orders and charges, each by itself. @param subjects ids of orders, references of charges */
async function gather(counter: Counter, subjects: readonly string[]): Promise<Looked[]> {
  const { db, gateway, graceMs } = counter;
  const { orders, payments } = await readMoney(db, { references: subjects, orderIds: subjects }, graceMs);
  const found = await findCharges(
    gateway,
    orders.map(({ id }) => id),
  );
  const isOrder = new Set(orders.map(({ id }) => id));
  const references = [
    ...subjects.filter((subject) => !isOrder.has(subject)),
    ...payments.flatMap(({ reference }) => reference ?? []),
    ...referencesOf(found),
  ];
  const charges = await readCharges(gateway, [...new Set(references)]);
  return compare(counter, charges, await readRefunds(gateway, charges), [...isOrder]);
}

/** @returns of what is final the ledgers of money, and of all charges what the provider says of them */
async function compare(
  { db, gateway, graceMs }: Counter,
  listed: Listed[],
  refunds: Refunds,
  orderIds: string[],
): Promise<Looked[]> {
  const named = [...orderIds, ...listed.flatMap(({ orderId }) => orderId ?? [])];
  const facts = await readMoney(db, { references: referencesOf(listed), orderIds: named }, graceMs);
  const orders = new Map(facts.orders.map((order) => [order.id, order]));
  const payer = new Map(facts.payments.map(({ reference, orderId }) => [reference, orderId]));
  // An order whose charge is on another page: the two are looked at together.
  const known = new Set<string | null>(referencesOf(listed));
  const elsewhere = facts.payments.filter(
    ({ reference, orderId }) => !known.has(reference) && orders.get(orderId)?.isQuiet,
  );
  const more = await readCharges(
    gateway,
    elsewhere.flatMap(({ reference }) => reference ?? []),
  );
  const all = new Map([...refunds, ...(await readRefunds(gateway, more))]);
  const orderOf = (charge: Listed) => orders.get(payer.get(charge.reference) ?? charge.orderId?.toLowerCase() ?? '');
  const entryOf = (charge: Listed) => toLedger(charge, all, orderOf(charge), facts);
  const charges = [...listed, ...more].filter((charge) => orderOf(charge)?.isQuiet ?? mayHold(entryOf(charge)));
  const { events, inHand } = facts;
  return [
    [OF_CHARGES, ofOrders({ charges: listed.map(entryOf) })],
    [
      OF_ORDERS,
      ofOrders({
        orders: facts.orders.filter(({ isQuiet }) => isQuiet).map((order): LedgerOrder => ({ ...order, lines: [] })),
        payments: facts.payments.filter(({ orderId }) => orders.get(orderId)?.isQuiet),
        charges: charges.map(entryOf),
        ...{ events, inHand },
      }),
    ],
  ];
}

const referencesOf = (charges: Listed[]): string[] => charges.map(({ reference }) => reference);

/** Of what is ours and no order's: an attempt that has taken nothing, and will not, is no charge. */
const mayHold = ({ isOurs, holds, status }: LedgerCharge): boolean => isOurs && (holds > 0 || status !== 'canceled');

const chunks = <T>(all: T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
