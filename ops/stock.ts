/** `stock`: what is there, and whether stock and reservations agree: available + reserved + sold = on hand, and the reservations too. */
import type { Command } from 'commander';
import { money } from '../contracts/amounts.js';
import type { Database } from '../domain/database.js';
import { listInventory, readSku, type Sku } from '../domain/inventory.js';
import { refusePrice } from '../domain/prices.js';
import { type Ops, run } from './command.js';
import { EXIT, type ExitCode, nothingMatched } from './exit.js';
import { addAdjustCommand } from './stock-adjust.js';

const PAGE = 1_000;

export function addStockCommand(program: Command): void {
  const command = program
    .command('stock')
    .summary('stock per SKU, checked against the reservations')
    .description(
      'Shows the stock and checks it. Ends with 1 if a SKU’s stock and reservations do not agree. A SKU with a price that the payment provider cannot charge is not sold: orders of it are refused until it has another.',
    )
    .argument('[sku]', 'only this SKU')
    .option('--unsellable', 'only what is not sold for its price')
    .addHelpText('after', '\nExamples:\n  ops stock\n  ops stock SKU-KEYBOARD\n  ops stock --unsellable')
    .action((sku: string | undefined, options: Options) => run(command, (ops) => showStock(ops, sku, options)));
  addAdjustCommand(command);
}

type Options = { unsellable?: true };
/** `unsellable`: why it cannot be sold at its price, or null. */
type Checked = Sku & { agrees: boolean; unsellable: string | null };

async function showStock({ out, to }: Ops, sku: string | undefined, options: Options): Promise<ExitCode> {
  // One snapshot for counters and reservations: read one after the other, an order between them would look like a loss.
  const db = await to.database();
  const stock = await db.$transaction((tx) => readChecked(tx, sku), { isolationLevel: 'RepeatableRead' });
  if (stock.length === 0)
    throw nothingMatched(sku === undefined ? 'The catalogue is empty.' : `There is no SKU ${sku}.`);
  const broken = stock.filter(({ agrees }) => !agrees);
  const unsellable = stock.filter((item) => item.unsellable !== null);
  const shown = options.unsellable ? unsellable : stock;
  out.document({ items: shown, broken: skusOf(broken), unsellable: skusOf(unsellable) });
  out.table(
    ['sku', 'name', 'price', 'on hand', 'available', 'reserved', 'sold', 'books'],
    shown.map((item) => [
      item.sku,
      item.name,
      money({ amount: item.unitPrice, currency: item.currency }),
      ...[item.onHand, item.available, item.reserved, item.sold].map(String),
      item.agrees ? 'agree' : out.paint('red', 'DISAGREE'),
    ]),
  );
  for (const item of unsellable) out.notice(out.paint('yellow', `${item.sku} is not sold. ${item.unsellable}.`));
  if (broken.length === 0) return EXIT.done;
  out.notice(
    out.paint(
      'red',
      `${broken.length} of ${stock.length}: stock and reservations do not agree. That is a bug; do not mend it by hand.`,
    ),
  );
  return EXIT.failed;
}

const skusOf = (items: Sku[]) => items.map(({ sku }) => sku);

async function readChecked(db: Database, sku: string | undefined): Promise<Checked[]> {
  const items = sku === undefined ? await listAll(db) : [await readSku(db, sku)].filter((item) => item !== null);
  const held = await readReservations(db, sku);
  return items.map((item) => {
    const { reserved = 0, sold = 0 } = held.get(item.sku) ?? {};
    const isConserved = item.available + item.reserved + item.sold === item.onHand && item.available >= 0;
    const agrees = isConserved && item.reserved === reserved && item.sold === sold;
    return { ...item, agrees, unsellable: refusePrice(item)?.detail ?? null };
  });
}

async function listAll(db: Database): Promise<Sku[]> {
  const all: Sku[] = [];
  for (;;) {
    const page = await listInventory(db, all.at(-1)?.sku, PAGE);
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

/** What the orders hold, per SKU. */
async function readReservations(
  db: Database,
  sku: string | undefined,
): Promise<Map<string, { reserved: number; sold: number }>> {
  const rows = await db.reservation.groupBy({
    by: ['sku', 'state'],
    where: { state: { in: ['RESERVED', 'SOLD'] }, ...(sku !== undefined && { sku }) },
    _sum: { quantity: true },
  });
  const held = new Map<string, { reserved: number; sold: number }>();
  for (const { sku, state, _sum } of rows) {
    const entry = held.get(sku) ?? { reserved: 0, sold: 0 };
    entry[state === 'RESERVED' ? 'reserved' : 'sold'] += _sum.quantity ?? 0;
    held.set(sku, entry);
  }
  return held;
}
