/** `verify`: whether what was promised of every order holds, by what Postgres, the gateway and Temporal say. It only reads. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Database } from '../domain/database.js';
import { createPaymentGateway } from '../gateways/stripe.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import type { Finding, InvariantName } from '../verification/invariants.js';
import { openAtMostMs } from '../verification/limits.js';
import type { Sources } from '../verification/parts/part.js';
import { VERIFIED, VERIFIED_OF_ORDERS, type Verified, verify } from '../verification/pass.js';
import { addJsonOption, type Ops, orderIds, run } from './command.js';
import { policyOf } from './connections.js';
import { EXIT, type ExitCode, OpsError, usage } from './exit.js';
import { moment } from './find.js';
import { gatewayPlace } from './gateway-view.js';

/** What has changed within it is looked at the next time: it may still be under way. */
const GRACE_MS = 60_000;
const GATEWAY_TIMEOUT_MS = 10_000;

type Options = { since?: number; order?: string[]; invariant?: InvariantName[] };

export function addVerifyCommand(program: Command): void {
  const command = program
    .command('verify')
    .summary('whether orders, money, stock, sagas and events are as promised; 1 if not, 2 if it could not look')
    .description(
      `Holds every order that has not changed for a minute, and all stock, against the invariants, by what Postgres, the gateway's lists and Temporal say of them; it only reads. What is wrong is looked at a second time before it is told; what reconciliation has in hand is not told. Invariants: ${VERIFIED.join('; ')}.`,
    )
    .option(
      '--since <moment>',
      'only orders accepted, and charges made, at or after, e.g. 2026-11-21, or 2h (ago)',
      moment,
    )
    .option('--order <id>', 'only this order; may be repeated', orderIds)
    .option('--invariant <name>', 'only this invariant, or all of a number, e.g. I4; may be repeated', invariants)
    .addHelpText(
      'after',
      `
Ends with
  0  everything that was looked at holds
  1  something is violated
  2  it could not look: a source does not answer, an order of --order has changed within the minute, there were no rows where there must be some, or what was asked for by
     --invariant could not be looked at. Where no gateway or no Temporal is configured here, and nobody has asked for its
     invariants, that is only said: 0.`,
    );
  addJsonOption(command).action((options: Options) => run(command, (ops) => verifyInstallation(ops, options)));
}

function invariants(text: string, earlier: InvariantName[] = []): InvariantName[] {
  const named = VERIFIED.filter((name) => name === text || name.split(' ')[0] === text);
  if (named.length === 0) throw new InvalidArgumentError(`There are: ${VERIFIED.join('; ')}.`);
  return [...new Set([...earlier, ...named])];
}

async function verifyInstallation(ops: Ops, options: Options): Promise<ExitCode> {
  const { aside, verified } = await look(ops, options);
  const { findings, notLookedAt, failures } = verified;
  const failed = failures.map(({ invariants: names, cause }) => ({ invariants: names, why: sentenceOf(cause) }));
  const blind = blindOf(verified);
  const broken = findings.filter(({ violations }) => violations.length > 0);
  const isBlind =
    aside.length + blind.length + failed.length > 0 || (options.invariant !== undefined && notLookedAt.length > 0);
  ops.out.document({ clean: broken.length === 0 && !isBlind, invariants: findings, notLookedAt, failed, aside });
  ops.out.table(
    ['', 'invariant', 'rows', 'violations'],
    findings.map((one) => rowOf(ops, one)),
  );
  for (const { invariant: name, violations } of broken)
    for (const { says } of violations) ops.out.print(ops.out.paint('red', `${name}: ${says}`));
  for (const { invariant: name, why } of notLookedAt) ops.out.print(`${name}: not looked at, ${why}`);
  for (const { invariants: names, why } of failed)
    ops.out.notice(ops.out.paint('red', `Could not look, or not to the end: ${names.join('; ')}: ${why}`));
  for (const { order, why } of aside) ops.out.notice(ops.out.paint('yellow', `${order}: not looked at, ${why}`));
  if (blind.length > 0) ops.out.notice(`Nothing was there to look at, so nothing is proved: ${blind.join('; ')}.`);
  if (broken.length > 0) return EXIT.failed;
  return isBlind ? EXIT.usage : EXIT.done;
}

/** Invariants whose sources have answered, with nothing. */
function blindOf({ findings, failures }: Verified): InvariantName[] {
  const failed = new Set(failures.flatMap(({ invariants: names }) => names));
  return findings
    .filter(({ invariant, checked }) => checked === 0 && !failed.has(invariant))
    .map((one) => one.invariant);
}

/** An order that was asked for, and why it was not looked at. */
type Aside = { order: string; why: string };

/** Of some orders, what is not an order's is not asked for. @throws OpsError with the code for "could not look" */
async function look(ops: Ops, { since, order, invariant }: Options): Promise<{ aside: Aside[]; verified: Verified }> {
  const possible = order === undefined ? VERIFIED : VERIFIED_OF_ORDERS;
  const names = possible.filter((name) => invariant === undefined || invariant.includes(name));
  if (names.length === 0) throw usage('That is not of single orders: it cannot be verified with --order.');
  const sources = await sourcesOf(ops);
  const aside = order === undefined ? [] : await findAside(sources.db, order);
  const ids = order?.filter((id) => !aside.some((one) => one.order === id));
  if (ids?.length === 0) return { aside, verified: { findings: [], notLookedAt: [], failures: [] } };
  const verified = await verify(sources, {
    ids,
    graceMs: GRACE_MS,
    since: since === undefined ? undefined : new Date(since),
    invariants: names,
    openAtMostMs: openAtMostMs(policyOf(ops.config)),
  });
  return { aside, verified };
}

/** By the database's clock, as the pass itself goes by. */
async function findAside(db: Database, ids: string[]): Promise<Aside[]> {
  const rows = await db.$queryRaw<{ id: string; updatedAt: Date; now: Date }[]>`
    SELECT id::text, updated_at AS "updatedAt", now() FROM orders WHERE id = ANY(${ids}::uuid[])`;
  return ids.flatMap((order) => {
    const row = rows.find(({ id }) => id === order);
    if (row === undefined) return [{ order, why: 'there is no such order' }];
    const agoMs = row.now.getTime() - row.updatedAt.getTime();
    if (agoMs >= GRACE_MS) return [];
    const from = new Date(row.updatedAt.getTime() + GRACE_MS + 999).toISOString().slice(11, 19);
    return [{ order, why: `it changed ${Math.round(agoMs / 1_000)} s ago; looked at from ${from} UTC on` }];
  });
}

async function sourcesOf({ to, config }: Ops): Promise<Sources> {
  const place = gatewayPlace(config);
  try {
    return {
      db: await to.database(),
      gateway: place
        ? createPaymentGateway({ ...place, timeoutMs: GATEWAY_TIMEOUT_MS })
        : { why: 'since STRIPE_API_KEY is not set here (and PAYMENTS_URL, if it is not Stripe itself)' },
      temporal: to.knowsTemporal()
        ? await to.temporal().then(
            ({ client }) => client,
            (cause: unknown) => ({ why: 'since it does not answer', cause }),
          )
        : { why: 'since TEMPORAL_ADDRESS is not set here' },
    };
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
