/** `stock adjust`: pieces that were found, lost or counted anew, without saying the whole of it, which orders change meanwhile. */
import { type Command, InvalidArgumentError } from 'commander';
import { adjustmentOfStock } from '../domain/audit/changes.js';
import { readSku } from '../domain/inventory.js';
import { addSignatureOptions, askBefore, signatureOf, type SignatureOptions } from './act.js';
import { type Ops, run } from './command.js';
import { EXIT, type ExitCode, nothingMatched, OpsError } from './exit.js';
import { createRecorder } from './recorder.js';

const BY_MAX = 1_000_000_000;

type Options = SignatureOptions & { by: number };

export function addAdjustCommand(stock: Command): void {
  const command = stock
    .command('adjust')
    .summary('add or remove available pieces of a SKU; before and after are kept for ever')
    .description(
      'Adds pieces to what is available of a SKU, or removes them. What is reserved or sold stays so: no more is removed than is available. For a price, a name or a new SKU there is PUT /inventory/{sku}.',
    )
    .argument('<sku>', 'the SKU')
    .requiredOption('--by <n>', 'pieces, with a minus if there are fewer', pieces);
  addSignatureOptions(command)
    .addHelpText(
      'after',
      "\nExamples:\n  ops stock adjust SKU-KEYBOARD --by -7 --reason 'broken in the warehouse, ticket 12'",
    )
    .action((sku: string, options: Options) => run(command, (ops) => adjust(ops, sku, options)));
}

function pieces(text: string): number {
  const n = Number(text);
  if (!/^[+-]?\d{1,10}$/.test(text) || n === 0 || Math.abs(n) > BY_MAX)
    throw new InvalidArgumentError('It must be a whole number of pieces, not 0, such as 7 or -7.');
  return n;
}

async function adjust(ops: Ops, sku: string, options: Options): Promise<ExitCode> {
  const { out, to, config } = ops;
  const { operator, reason } = signatureOf(options, config);
  const { by } = options;
  const db = await to.database();
  const now = await readSku(db, sku);
  if (now === null) throw nothingMatched(`There is no SKU ${sku}.`);
  const how = by > 0 ? `add ${by} to` : `remove ${-by} from`;
  await askBefore(ops, `${how} the ${now.available} available pieces of ${sku}, as ${operator}?`, options.yes);
  const recorder = createRecorder(ops, 'stock adjust', operator);
  const after = await recorder.act(db, adjustmentOfStock(sku, { by, reason }));
  if (after === null) throw new OpsError(await whyNot(ops, sku, by), EXIT.failed);
  const before = { onHand: after.onHand - by, available: after.available - by };
  out.document({ sku, by, operator, reason, before: { ...after, ...before }, after });
  out.table(
    ['sku', '', 'on hand', 'available', 'reserved', 'sold'],
    [
      [sku, 'before', ...[before.onHand, before.available, after.reserved, after.sold].map(String)],
      [sku, 'after', ...[after.onHand, after.available, after.reserved, after.sold].map(String)],
    ],
  );
  return EXIT.done;
}

async function whyNot({ to }: Ops, sku: string, by: number): Promise<string> {
  const now = await readSku(await to.database(), sku);
  if (now === null) return `There is no SKU ${sku} any more.`;
  if (by > 0) return `${sku} cannot be stocked that high: ${now.onHand} are on hand. Nothing was changed.`;
  return `Only ${now.available} of ${sku} are available (${now.reserved} reserved, ${now.sold} sold): nothing was changed. Cancel orders first, or remove fewer.`;
}
