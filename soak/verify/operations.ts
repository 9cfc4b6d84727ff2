/**
 * The operation log against what is: whatever a client was told must be so, and nothing may be there that no client has asked for.
 * Each check says how many rows it has looked at.
 */
import type { Call } from '../operation-log.js';
import { DECLINING } from '../plan/operations.js';
import { groupBy } from './grouping.js';
import type { Facts, StoredOrder } from './facts.js';

export type History = { calls: readonly Call[]; facts: Facts };
export type Looked = { rows: number; violations: string[] };
type Check = (history: History) => Looked;

export const CHECKS = {
  'O1 acknowledged orders are there, as they were ordered': acknowledged,
  'O2 one key, one order': oneOrderPerKey,
  'O3 the same answer to the same request': sameAnswers,
  'O4 acknowledged cancellations took effect': cancellations,
  'O5 what was refused is not there': refused,
  'O6 nothing is there that nobody asked for': unasked,
  'O7 an end that was seen stays': endsSeen,
  'O8 every end has its cause': causes,
  'O9 stock and price are as last set': lastSet,
  'O10 odd input is refused': oddInput,
  'O11 acknowledged acts are in the audit trail': acts,
  'O12 no answer but success, refusal, or not now': answers,
} satisfies Record<string, Check>;

const isOrder = ({ kind }: Call) => kind === 'order' || kind === 'twin' || kind === 'repeat';
const isOk = ({ outcome }: Call) => outcome === 'ok';
const answerOf = <T>({ text = '{}' }: Call): T => JSON.parse(text) as T;
type Told = { id: string; status: string; items: { sku: string; quantity: number; unitPrice: number }[] };

/** @param rows of which each is looked at. @param look what is wrong with one */
function each<Row>(rows: Iterable<Row>, look: (row: Row) => string | false | undefined): Looked {
  const all = [...rows];
  return { rows: all.length, violations: all.map(look).filter((says) => typeof says === 'string') };
}

const byId = (orders: StoredOrder[]) => new Map(orders.map((order) => [order.id, order]));
const linesOf = (lines: Told['items']): string =>
  lines
    .map(({ sku, quantity, unitPrice }) => `${sku} ${quantity} ${unitPrice}`)
    .sort()
    .join();

function acknowledged({ calls, facts }: History): Looked {
  const orders = byId(facts.orders);
  return each(
    calls.filter((call) => isOrder(call) && isOk(call)),
    (call) => {
      const told = answerOf<Told>(call);
      const stored = orders.get(told.id);
      if (!stored) return `the order ${told.id} was acknowledged, and is not there`;
      if (stored.customerId !== call.customerId) return `the order ${told.id} is another customer's`;
      return (
        linesOf(stored.lines) !== linesOf(told.items) && `the order ${told.id} has other lines than were acknowledged`
      );
    },
  );
}

function oneOrderPerKey({ calls, facts }: History): Looked {
  const keyed = groupBy(
    calls.filter((call) => isOrder(call) && isOk(call) && call.key !== undefined),
    ({ key }) => key as string,
  );
  return each(keyed, ([key, all]) => {
    const ids = new Set(all.map((call) => answerOf<Told>(call).id));
    if (ids.size > 1) return `the key ${key} has the orders ${[...ids].join(' and ')}`;
    return !ids.has(facts.keys.get(key) ?? '') && `the key ${key} is not that of ${[...ids][0]}`;
  });
}

/** Byte for byte, but for those who wait for its end: they are told how the order stands. */
function sameAnswers({ calls }: History): Looked {
  const first = groupBy(
    calls.filter((call) => isOrder(call) && isOk(call) && call.key !== undefined && !call.isWaiting),
    ({ key }) => key as string,
  );
  return each(
    [...first].filter(([, all]) => all.length > 1),
    ([key, all]) => new Set(all.map(({ text }) => text)).size > 1 && `the key ${key} was answered differently`,
  );
}

function cancellations({ calls, facts }: History): Looked {
  const orders = byId(facts.orders);
  return each(
    calls.filter((call) => call.kind === 'cancel' && isOk(call)),
    ({ orderId }) => {
      const status = orders.get(orderId as string)?.status;
      return status !== 'CANCELLED' && `the cancellation of ${orderId} was acknowledged, and it is ${status}`;
    },
  );
}

/** Of a customer, or a key, whose every request was refused. */
function refused({ calls, facts }: History): Looked {
  const customers = new Set(facts.orders.map(({ customerId }) => customerId));
  const keyed = groupBy(
    calls.filter((call) => isOrder(call) && call.key !== undefined),
    ({ key }) => key as string,
  );
  const allRefused = [...keyed].filter(([, all]) => all.every(({ outcome }) => outcome === 'refused'));
  const odd = calls.filter(({ kind, outcome }) => kind === 'odd' && outcome === 'refused');
  const keys = each(allRefused, ([key]) => facts.keys.has(key) && `the key ${key} was refused, and has an order`);
  const customersOfOdd = each(
    odd,
    ({ customerId = '' }) => customers.has(customerId) && `what ${customerId} sent was refused, and is there`,
  );
  return { rows: keys.rows + customersOfOdd.rows, violations: [...keys.violations, ...customersOfOdd.violations] };
}

/** Of each customer at most as many orders as keys, and requests without one, were sent; and no two with the same number that stand. */
function unasked({ calls, facts }: History): Looked {
  const asked = groupBy(
    calls.filter((call) => isOrder(call)),
    ({ customerId }) => customerId,
  );
  return each(
    groupBy(facts.orders, ({ customerId }) => customerId),
    ([customerId, orders]) => {
      const requests = asked.get(customerId) ?? [];
      const most = new Set(requests.map(({ key, call }) => key ?? call)).size;
      if (orders.length > most) return `${customerId} has ${orders.length} orders, and asked for ${most}`;
      const standing = orders.filter(
        ({ status, externalOrderId }) => status !== 'CANCELLED' && externalOrderId !== null,
      );
      return standing.length > 1 && `${customerId} has ${standing.length} orders with the same number of theirs`;
    },
  );
}

/** A read that began after another had ended sees nothing older; and what was final is so at the end. */
function endsSeen({ calls, facts }: History): Looked {
  const orders = byId(facts.orders);
  const reads = groupBy(
    calls.filter((call) => (call.kind === 'read' || call.kind === 'cancel') && isOk(call)),
    ({ orderId }) => orderId as string,
  );
  const rank: Record<string, number> = { PENDING: 0, CONFIRMED: 1, CANCELLED: 2 };
  return each(reads, ([orderId, all]) => {
    const seen = all.map((call) => ({ ...call, rank: rank[answerOf<Told>(call).status] ?? 0 }));
    const last = rank[orders.get(orderId)?.status ?? ''] ?? 0;
    const newest = Math.max(...seen.map((one) => one.rank));
    if (newest > last) return `${orderId} was seen ${newest === 2 ? 'CANCELLED' : 'CONFIRMED'}, and is not`;
    const isOlder = seen.some((later) => seen.some((one) => one.endedMs < later.beganMs && one.rank > later.rank));
    return isOlder && `${orderId} was seen older than it had been before`;
  });
}

/** Nothing is declined that the bank takes, nor taken that it declines; nothing is cancelled for whom nobody did. */
function causes({ calls, facts }: History): Looked {
  const asked = (kind: Call['kind']) =>
    new Set(calls.filter((call) => call.kind === kind).map(({ orderId }) => orderId));
  const [cancelled, decided] = [asked('cancel'), asked('resolve')];
  return each(facts.orders, ({ id, status, reason, paymentMethod, isByHand }) => {
    if (isByHand) return false;
    const isDeclining = DECLINING.has(paymentMethod);
    if (status === 'CONFIRMED' && isDeclining) return `${id} is CONFIRMED with ${paymentMethod}`;
    if (reason === 'PAYMENT_DECLINED' && !isDeclining) return `${id} was declined with ${paymentMethod}`;
    if (reason === 'CANCELLED_BY_CUSTOMER' && !cancelled.has(id)) return `${id} was cancelled by nobody`;
    return reason === 'OPERATOR' && !decided.has(id) && `${id} was unwound by no operator`;
  });
}

/** A call that had ended before another succeeded in the whole is overwritten; one without an answer may take effect at any time. */
function lastSet({ calls, facts }: History): Looked {
  type Body = { name: string; unitPrice: number; onHand: number };
  const set = groupBy(
    calls.filter(({ kind, outcome }) => kind === 'sku' && outcome !== 'refused'),
    ({ body }) => (body as Body).name,
  );
  return each(set, ([sku, all]) => {
    const last = all.filter((one) => !isOk(one) || !all.some((later) => isOk(later) && later.beganMs > one.endedMs));
    if (!all.some(isOk)) return false;
    const now = facts.stock.find((row) => row.sku === sku);
    const isAsSet = last.some(({ body }) => {
      const { unitPrice, onHand } = body as Body;
      return now?.unitPrice === unitPrice && now.onHand === onHand;
    });
    return !isAsSet && `${sku} costs ${now?.unitPrice} and has ${now?.onHand}, which is not what was last set`;
  });
}

function oddInput({ calls }: History): Looked {
  return each(
    calls.filter(({ kind, outcome }) => kind === 'odd' && outcome !== 'unknown'),
    ({ operation, status }) =>
      status !== undefined && status < 400 && `the odd input of operation ${operation} was taken: ${status}`,
  );
}

function acts({ calls, facts }: History): Looked {
  return each(
    calls.filter((call) => call.kind === 'resolve' && isOk(call)),
    ({ operation, orderId }) =>
      !facts.acts.has(`operation ${operation}`) && `the act on ${orderId} is in no audit trail`,
  );
}

/** Not now. */
const UNAVAILABLE = 503;
function answers({ calls }: History): Looked {
  return each(
    calls.filter(({ status }) => status !== undefined),
    ({ kind, status = 0, text }) =>
      status >= 500 && status !== UNAVAILABLE && `${kind} was answered ${status}: ${text?.slice(0, 200)}`,
  );
}

/** @returns of each check what it found */
export const holdOperations = (history: History): { invariant: string; checked: number; violations: string[] }[] =>
  Object.entries(CHECKS).map(([invariant, check]) => {
    const { rows, violations } = (check as Check)(history);
    return { invariant, checked: rows, violations };
  });
