/** The order service, as others see it: its feed, its list of orders, and one order's saga. */

const LIMIT_MS = 30_000;
/** Of the list of orders: each page is a transaction of ours. */
const ORDERS_A_PAGE = 500;
/** The service may say for how long to keep away; not for longer than this. */
const KEEP_AWAY_MAX_MS = 30_000;

/** The events after our place have left the feed. */
export class Gone extends Error {}
/** The service does not answer, or not now. */
export class Away extends Error {
  constructor(message, keepAwayMs) {
    super(message);
    this.keepAwayMs = keepAwayMs;
  }
}

export function openSource({ ordersUrl, token, pageSize }) {
  return {
    /** @returns { events, next, asOf } */
    readFeed: async (cursor) => {
      const after = cursor === null ? '' : `&after=${encodeURIComponent(cursor)}`;
      const { body, headers } = await get(`/events?limit=${pageSize}${after}`);
      if (!Array.isArray(body?.events))
        throw new Away('What the order service answers to /events is no page of events.');
      return { ...body, asOf: headers.get('feed-as-of') ?? undefined };
    },
    /** @param cursor null = from the newest order on. @returns { orders, next } */
    listOrders: async (cursor) => {
      const from = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      return (await get(`/orders?limit=${ORDERS_A_PAGE}${from}`)).body;
    },
    /** @returns when a cancelled order had been confirmed before; null = it never was, or nobody knows when */
    readConfirmation: async (orderId) => {
      const { steps } = (await get(`/orders/${orderId}/saga`)).body;
      const step = steps.find(({ name, kind }) => name === 'confirmOrder' && kind === 'step');
      const isConfirmed = step?.status === 'completed' || step?.status === 'skipped';
      return isConfirmed ? { at: step.finishedAt } : null;
    },
  };

  async function get(path) {
    const headers = { accept: 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
    const answer = await fetch(`${ordersUrl}${path}`, { headers, signal: AbortSignal.timeout(LIMIT_MS) }).catch(
      (err) => {
        throw new Away(`The order service does not answer: ${err.cause?.code ?? err.name}.`);
      },
    );
    if (answer.ok) return { body: await answer.json(), headers: answer.headers };
    await answer.body?.cancel();
    if (answer.status === 410) throw new Gone(`${path}: 410`);
    const asked = Number(answer.headers.get('retry-after'));
    const keepAwayMs = asked > 0 ? Math.min(asked * 1_000, KEEP_AWAY_MAX_MS) : undefined;
    throw new Away(`The order service answers ${answer.status} to ${path.split('?')[0]}.`, keepAwayMs);
  }
}
