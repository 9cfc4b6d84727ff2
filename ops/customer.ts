/** `ops customer`: from a client's id to the references by which its sagas, events and rows are found. */
import type { Command } from 'commander';
import { auditedCustomer, customersBehind, identityKeyOf } from '../domain/customers.js';
import { countOrders } from '../domain/orders.js';
import { type Ops, run } from './command.js';
import { EXIT, type ExitCode, nothingMatched } from './exit.js';
import { time } from './output.js';
import { customerResource, noteReads } from './reads.js';

export function addCustomerCommand(program: Command): void {
  program
    .command('customer')
    .summary('a customer’s references, by which Temporal, events and rows know it')
    .description(
      'Prints the references of a client’s id, with the query by which Temporal lists its sagas, how many orders each has, and how the audit trail calls the customer. Sagas begun before there were references are listed by the id itself.',
    )
    .argument('<id>', 'as orders are placed with')
    .action((id: string, _: object, command: Command) => run(command, (ops) => customer(ops, id)));
}

async function customer(ops: Ops, id: string): Promise<ExitCode> {
  const { out, to } = ops;
  const db = await to.database();
  const key = await identityKeyOf(db);
  const known = await customersBehind(db, key, id);
  if (known.length === 0) throw nothingMatched('No order was placed with this id since there are references.');
  await noteReads(ops, db, 'customer', [customerResource(known.map(({ reference }) => reference))]);
  const customers = await Promise.all(
    known.map(async ({ reference, since, erasingSince }) => ({
      reference,
      query: `CustomerId="${reference}"`,
      orders: await countOrders(db, reference),
      since: since.toISOString(),
      erasingSince: erasingSince?.toISOString() ?? null,
    })),
  );
  const audited = auditedCustomer(key, id);
  out.document({ customers, audited });
  out.table(
    ['reference', 'for Temporal', 'orders', 'since', 'being erased since'],
    customers.map((each) => [
      each.reference,
      each.query,
      `${each.orders}`,
      time(each.since),
      each.erasingSince === null ? '–' : time(each.erasingSince),
    ]),
  );
  out.notice(`In the audit trail its refused calls are those of ${audited}.`);
  return EXIT.done;
}
