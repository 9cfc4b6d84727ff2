/** What events in a relay's memory say of their customers: it is read with them, and anew before it is sent much later. */
import { readingOf, type ToldEvent, tellAnew } from '../domain/outbox.js';
import type { Delivery } from './delivery.js';

/** A customer who is erased is told to a destination for no longer than this, what is begun of a batch (publishers/one-by-one), and a request under way. */
const TOLD_FOR_MS = 1_000;

/** For the streams that are due. While a destination takes events as they come, there is nothing to do. @throws if Postgres does not answer */
export async function refreshCustomers({
  db,
  backlogs,
  customersTold,
}: Pick<Delivery, 'db' | 'backlogs' | 'customersTold'>): Promise<void> {
  const now = performance.now();
  const due = [...backlogs.values()]
    .flatMap(({ streams }) => [...streams.values()])
    .filter(({ trouble }) => trouble.nextTryAtMs <= now);
  // An order's customer is in its first event alone.
  const stale = due.filter(({ events: [first] }) => first !== undefined && isOld(first, now));
  if (stale.length === 0) return;
  const told = await tellAnew(
    db,
    stale.flatMap(({ events: [first] }) => first ?? []),
    readingOf(customersTold),
  );
  stale.forEach(({ events }, i) => {
    const [first] = events;
    const anew = told[i];
    if (first && anew) events[0] = { ...first, ...anew };
  });
}

const isOld = ({ type, toldAtMs = 0 }: ToldEvent, now: number): boolean =>
  type === 'order.created' && now - toldAtMs > TOLD_FOR_MS;
