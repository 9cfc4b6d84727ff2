/** `find`: from what a caller has in hand (a customer and a time, a number, a reference, an id in a log) to the order. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { money } from '../contracts/amounts.js';
import { ORDER_STATUSES, type OrderStatus } from '../contracts/orders.js';
import { listOrders, type OrderFilter } from '../domain/orders.js';
import { EVENT_ID, searchOrders } from '../domain/search.js';
import { parseMoment } from '../runtime/moments.js';
import { type Ops, run, wholeNumber } from './command.js';
import { EXIT, type ExitCode, nothingMatched, usage } from './exit.js';
import { openedDatabase, openedIfPossible } from './opened.js';
import { age, time } from './output.js';
import { noteReads } from './reads.js';

/** A screenful: who finds more than that says more of what is looked for. */
const LIMIT_DEFAULT = 25;
/** As much as a page of the API: a statement has 4 s. */
const LIMIT_MAX = 1_000;

type Options = {
  customer?: string;
  external?: string;
  reference?: string;
  correlation?: string;
  event?: string;
  sku?: string;
  status?: OrderStatus;
  from?: number;
  to?: number;
  limit: number;
};

export function addFindCommand(program: Command): void {
  const command = program
    .command('find')
    .summary('an order by customer and time, number, reference, correlation id or event')
    .description(
      'Finds orders, newest first. All that is given must fit. Without an option: the argument is tried as an order’s, an event’s or a workflow’s id, as a correlation id, as the shop’s own number, as the payment provider’s reference, and as a customer’s id or reference.',
    )
    .argument('[anything]', 'what the caller, the log or the provider’s dashboard has')
    .option('--customer <id>', 'of this customer')
    .option('--external <number>', 'with this externalOrderId: the shop’s own number')
    .option('--reference <id>', 'the payment provider’s id of a charge or a refund: pi_…, re_…')
    .option('--correlation <id>', 'placed by the request with this correlation id')
    .option('--event <id>', 'of the event with this id', eventIdOption)
    .option('--sku <sku>', 'with a line of this SKU; of the last 7 days, unless --from says otherwise')
    .addOption(new Option('--status <status>', 'only these').choices([...ORDER_STATUSES]))
    .option('--from <moment>', 'accepted at or after, e.g. 2026-11-21, 2026-11-21T09:00 (UTC), or 2h (ago)', moment)
    .option('--to <moment>', 'accepted before', moment)
    .option('--limit <n>', `so many, at most ${LIMIT_MAX}`, limitOption, LIMIT_DEFAULT)
    .addHelpText(
      'after',
      `
Examples:
  ops find --customer cus_42 --from 2h
  ops find --external web-1001
  ops find --sku SKU-KEYBOARD --status CONFIRMED
  ops find pi_3Ab0000000000001
  ops find 01a1fc4b-2622-70f0-8b6b-725674f9c1d0-3`,
    )
    .action((anything: string | undefined, options: Options) =>
      run(command, (ops) => find(ops, anything?.trim(), options)),
    );
}

function eventIdOption(text: string): string {
  if (!EVENT_ID.test(text))
    throw new InvalidArgumentError('The id of an event is that of its order, a hyphen, and a number.');
  return text;
}

function limitOption(text: string): number {
  const limit = wholeNumber(text);
  if (limit > LIMIT_MAX) throw new InvalidArgumentError(`At most ${LIMIT_MAX}: say more of what is looked for.`);
  return limit;
}

const UNITS_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** UTC, whatever this machine thinks; or so long ago. @returns ms since 1970 */
export function moment(text: string): number {
  const ago = /^(\d{1,6})([mhd])$/.exec(text);
  if (ago) return Math.max(0, Date.now() - Number(ago[1]) * UNITS_MS[ago[2] as keyof typeof UNITS_MS]);
  const ms = parseMoment(text);
  if (Number.isNaN(ms))
    throw new InvalidArgumentError(
      'Write a moment as 2026-11-21, 2026-11-21T09:00 (UTC) or 2026-11-21T09:00+02:00, or how long ago: 30m, 2h, 3d.',
    );
  return ms;
}

async function find(ops: Ops, anything: string | undefined, options: Options): Promise<ExitCode> {
  const { out } = ops;
  const filter = filterOf(options);
  const isFiltered = Object.keys(filter).length > 0;
  if (anything === undefined && !isFiltered) throw usage('What is known of it? See `find --help`.');
  if (anything !== undefined && isFiltered) throw usage('Give what is known as an argument, or by options: not both.');
  const db = await openedDatabase(ops);
  const { limit } = options;
  const found = await openedIfPossible(ops, async (texts) =>
    anything === undefined
      ? listOrders(db, filter, limit + 1, texts)
      : (await searchOrders(db, anything, limit + 1, texts)).map(({ order }) => order),
  );
  const orders = found.slice(0, limit);
  if (orders.length === 0) throw nothingMatched('There is no such order.');
  await noteReads(
    ops,
    db,
    'find',
    orders.map(({ id }) => id),
  );
  out.document({ orders, more: found.length > limit });
  const { sku } = options;
  out.table(
    ['order', ...(sku === undefined ? [] : ['pieces']), 'status', 'total', 'accepted', 'ago', 'customer', 'number'],
    orders.map((order) => [
      order.id,
      ...(sku === undefined ? [] : [`${order.items.find((item) => item.sku === sku)?.quantity}`]),
      order.status + (order.cancellation ? ` (${order.cancellation.reason})` : ''),
      money(order.total),
      time(order.createdAt),
      age(order.createdAt),
      order.customerId,
      order.externalOrderId ?? '–',
    ]),
  );
  if (found.length > limit) out.notice(`There are more than ${limit}: --limit, or say more of what is looked for.`);
  return EXIT.done;
}

/** No index leads from a SKU to its orders: so far back they are read, newest first. */
const SKU_SINCE_MS = 7 * UNITS_MS.d;

function filterOf(options: Options): OrderFilter {
  const { customer, external, reference, correlation, event, sku, status, from, to } = options;
  return {
    ...(sku !== undefined && { sku, createdFromMs: Date.now() - SKU_SINCE_MS }),
    ...(customer !== undefined && { customerId: customer }),
    ...(external !== undefined && { externalOrderId: external }),
    ...(reference !== undefined && { gatewayReference: reference }),
    ...(correlation !== undefined && { correlationId: correlation }),
    ...(event !== undefined && { eventId: event }),
    ...(status !== undefined && { status }),
    ...(from !== undefined && { createdFromMs: from }),
    ...(to !== undefined && { createdToMs: to }),
  };
}
