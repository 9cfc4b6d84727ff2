/** `verify`: whether what was promised of every order holds of what Postgres has. It only reads. */
import { type Command, InvalidArgumentError } from 'commander';
import { sentenceOf } from '../runtime/errors/facts.js';
import type { Finding, InvariantName } from '../verification/invariants.js';
import { VERIFIED, verify } from '../verification/pass.js';
import { addJsonOption, type Ops, orderIds, run } from './command.js';
import { EXIT, type ExitCode, OpsError, usage } from './exit.js';
import { moment } from './find.js';

/** An order that has come to its end within it is looked at the next time. */
const GRACE_MS = 60_000;

type Options = { since?: number; order?: string[]; invariant?: InvariantName[] };

export function addVerifyCommand(program: Command): void {
  const command = program
    .command('verify')
    .summary('whether orders, stock and events are as promised; ends with 1 if not, 2 if it could not look')
    .description(
      `Holds every order that has been final for a minute, and all stock, against the invariants, by what Postgres says of them; it only reads. What the gateway and Temporal say is not asked. Invariants: ${VERIFIED.join('; ')}.`,
    )
    .option('--since <moment>', 'only orders accepted at or after, e.g. 2026-11-21, or 2h (ago)', moment)
    .option('--order <id>', 'only this order; may be repeated', orderIds)
    .option('--invariant <name>', 'only this invariant, or all of a number, e.g. I4; may be repeated', invariants);
  addJsonOption(command).action((options: Options) => run(command, (ops) => verifyInstallation(ops, options)));
}

function invariants(text: string, earlier: InvariantName[] = []): InvariantName[] {
  const named = VERIFIED.filter((name) => name === text || name.split(' ')[0] === text);
  if (named.length === 0) throw new InvalidArgumentError(`There are: ${VERIFIED.join('; ')}.`);
  return [...new Set([...earlier, ...named])];
}

async function verifyInstallation(ops: Ops, options: Options): Promise<ExitCode> {
  const found = await look(ops, options);
  const blind = found.filter(({ checked }) => checked === 0).map(({ invariant: name }) => name);
  const broken = found.filter(({ violations }) => violations.length > 0);
  ops.out.document({ clean: broken.length === 0 && blind.length === 0, invariants: found });
  ops.out.table(
    ['', 'invariant', 'rows', 'violations'],
    found.map((one) => rowOf(ops, one)),
  );
  for (const { invariant: name, violations } of broken)
    for (const { says } of violations) ops.out.print(ops.out.paint('red', `${name}: ${says}`));
  if (broken.length > 0) return EXIT.failed;
  if (blind.length === 0) return EXIT.done;
  ops.out.notice(`Nothing was there to look at, so nothing is proved: ${blind.join('; ')}.`);
  return EXIT.usage;
}

/** Of some orders, the stock is not asked for. @throws OpsError with the code for "could not look" */
async function look({ to }: Ops, { since, order, invariant }: Options): Promise<Finding[]> {
  const ofOrders = VERIFIED.filter((name) => order === undefined || !name.startsWith('I2'));
  const names = ofOrders.filter((name) => invariant === undefined || invariant.includes(name));
  if (names.length === 0) throw usage('Stock is that of all orders: it cannot be verified with --order.');
  try {
    const db = await to.database();
    return await verify(db, {
      ids: order,
      graceMs: GRACE_MS,
      since: since === undefined ? undefined : new Date(since),
      invariants: names,
    });
  } catch (err) {
    throw new OpsError(`Could not look: ${sentenceOf(err)}`, EXIT.usage, { cause: err });
  }
}

function rowOf({ out }: Ops, { invariant, checked, violations }: Finding): string[] {
  if (violations.length > 0) return [out.paint('red', 'violated'), invariant, `${checked}`, `${violations.length}`];
  return checked === 0
    ? [out.paint('yellow', 'no rows'), invariant, '0', '']
    : [out.paint('green', 'holds'), invariant, `${checked}`, '0'];
}
