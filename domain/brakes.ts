/**
 * Brakes in Postgres: a row for each time that one was engaged, so that they outlive every process. What they hold back reads them in
 * the statement or transaction that would go on otherwise, so none is overlooked for being young.
 *
 * A limit on spending counts what each order may have been charged, once, by the minute in which its first attempt was let through;
 * an hour is the current minute and the sixty before it. A currency without a limit is not counted; what was charged in it in the hour
 * before it was given one is counted too.
 */
import { type BrakeName, CHARGE_BRAKES } from '../contracts/brakes.js';
import { Prisma, type PrismaClient } from '../prisma/generated/client.js';
import type { Database, Statements } from './database.js';

export type Brake = {
  brake: BrakeName;
  since: Date;
  by: string;
  reason: string;
  message: string | null;
  retryAfterS: number | null;
  /** Currency → the most within an hour, in its minor unit. */
  limits: Record<string, number> | null;
};
/** What an operator says of a brake that is to be engaged. */
export type Engaging = Pick<Brake, 'brake' | 'reason'> & {
  operator: string;
  message?: string;
  retryAfterS?: number;
  limits?: Record<string, number>;
};

/** Of the columns of a statement: this brake is engaged now. */
export const isEngaged = (brake: BrakeName): Prisma.Sql =>
  Prisma.sql`EXISTS (SELECT FROM brake_periods WHERE brake = ${brake} AND released_at IS NULL)`;

/** An array of the engaged brakes that hold charges, for the columns of a statement. */
export const chargeBrakes = Prisma.sql`ARRAY(
  SELECT brake FROM brake_periods WHERE released_at IS NULL AND brake = ANY(${[...CHARGE_BRAKES]}::text[]) ORDER BY brake)`;

/** @returns those that are engaged */
export async function readBrakes(db: Statements): Promise<Brake[]> {
  return db.$queryRaw<Brake[]>`
    SELECT brake, engaged_at AS since, engaged_by AS by, reason, message, retry_after_s AS "retryAfterS", limits
    FROM brake_periods WHERE released_at IS NULL ORDER BY brake`;
}

/** As it stands, and so that nobody else changes it meanwhile: of a transaction. */
export async function lockBrake(tx: Database, brake: BrakeName): Promise<Brake | null> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('brakes'), hashtext(${brake}))`;
  return (await readBrakes(tx)).find((engaged) => engaged.brake === brake) ?? null;
}

/**
 * Engages a brake, or changes what is said of one that is engaged; that is a period of its own. Locked before: lockBrake.
 * @returns the brake as it is now
 */
export async function engageBrake(tx: Database, engaging: Engaging): Promise<Brake> {
  const { brake, operator, reason, message, retryAfterS, limits } = engaging;
  const before = await release(tx, { brake, operator, reason });
  await tx.$executeRaw`
    INSERT INTO brake_periods (brake, engaged_at, engaged_by, reason, message, retry_after_s, limits)
    VALUES (${brake}, clock_timestamp(), ${operator}, ${reason}, ${message ?? null}, ${retryAfterS ?? null}::int,
      ${limits === undefined ? null : JSON.stringify(limits)}::jsonb)`;
  const added = Object.keys(limits ?? {}).filter((currency) => before?.limits?.[currency] === undefined);
  if (added.length > 0) await beginCounting(tx, added);
  const engaged = (await readBrakes(tx)).find((each) => each.brake === brake);
  if (!engaged) throw new Error('Bug! A brake was engaged, and is not');
  return engaged;
}

/** @returns false if it is not engaged */
export const releaseBrake = async (tx: Database, word: { brake: BrakeName; operator: string; reason: string }) =>
  (await release(tx, word)) !== undefined;

/** @returns what is released */
async function release(
  tx: Database,
  { brake, operator, reason }: Record<'brake' | 'operator' | 'reason', string>,
): Promise<Pick<Brake, 'limits'> | undefined> {
  const [released] = await tx.$queryRaw<Pick<Brake, 'limits'>[]>`
    UPDATE brake_periods SET released_at = clock_timestamp(), released_by = ${operator}, release_reason = ${reason}
    WHERE brake = ${brake} AND released_at IS NULL RETURNING limits`;
  return released;
}

/**
 * What was charged in these currencies in the hour before, by the minute of its record. Their claims of an earlier limit are among it, or
 * were let through in vain. Whoever claims meanwhile waits for the period's row; whoever returns a claim finds it gone.
 */
async function beginCounting(tx: Database, currencies: string[]): Promise<void> {
  const isOne = Prisma.sql`currency = ANY(${currencies}::text[])`;
  await tx.$executeRaw`DELETE FROM spending_claims WHERE ${isOne} AND ${isWithinTheHour}`;
  await tx.$executeRaw`DELETE FROM spending_minutes WHERE ${isOne}`;
  await tx.$executeRaw`
    INSERT INTO spending_minutes (currency, minute, amount)
    SELECT currency, date_trunc('minute', created_at), sum(amount) FROM payments
    WHERE created_at > now() - interval '61 minutes' AND gateway_reference IS NOT NULL AND ${isOne}
    GROUP BY 1, 2`;
}

/**
 * Counts an order's charge against the limit on spending, once an hour, however often it is tried. Claims of one currency pass one after the
 * other, so that no two of them see the same room.
 * @param due its amount is in the currency's minor unit
 * @returns whether it may be charged: it was counted before, there is no limit for its currency, or there is room
 */
export async function claimSpending(
  db: Database,
  due: { orderId: string; currency: string; amount: number },
): Promise<boolean> {
  return (db as PrismaClient).$transaction(async (tx) => {
    // A statement of its own: the next one sees what whoever had the lock before has committed.
    const engaged = (await lockLimit(tx, due.currency)) ?? (await lockLimit(tx, due.currency));
    if (!engaged || engaged.most === null) return true;
    const [row] = await tx.$queryRaw<{ allowed: boolean }[]>`
      WITH counted AS (
        SELECT FROM spending_claims WHERE order_id = ${due.orderId}::uuid AND ${isWithinTheHour}
      ), claim AS (
        INSERT INTO spending_claims (order_id, currency, amount, minute)
        SELECT ${due.orderId}::uuid, ${due.currency}, ${due.amount}::bigint, ${thisMinute}
        WHERE NOT EXISTS (SELECT FROM counted) AND ${due.amount}::bigint + ${spentNow(due.currency)} <= ${engaged.most}::bigint
        ON CONFLICT (order_id) DO UPDATE SET minute = excluded.minute
        RETURNING currency, minute, amount
      ), summed AS (
        INSERT INTO spending_minutes AS m (currency, minute, amount) SELECT currency, minute, amount FROM claim
        ON CONFLICT (currency, minute) DO UPDATE SET amount = m.amount + excluded.amount RETURNING 1
      )
      SELECT EXISTS (SELECT FROM summed) OR EXISTS (SELECT FROM counted) AS allowed`;
    return row?.allowed === true;
  });
}

/**
 * Whoever has changed the limit meanwhile has ended one period and begun another: a statement that waited for the first finds none,
 * and the next one finds the second.
 */
async function lockLimit(tx: Statements, currency: string): Promise<{ most: bigint | null } | undefined> {
  const [engaged] = await tx.$queryRaw<{ most: bigint | null }[]>`
    SELECT (limits ->> ${currency})::bigint AS most FROM brake_periods
    WHERE brake = 'spending' AND released_at IS NULL FOR UPDATE`;
  return engaged;
}

const thisMinute = Prisma.sql`date_trunc('minute', clock_timestamp())`;
const isWithinTheHour = Prisma.sql`minute >= ${thisMinute} - interval '60 minutes'`;
const spentNow = (currency: string): Prisma.Sql => Prisma.sql`(
  SELECT coalesce(sum(s.amount), 0) FROM spending_minutes s
  WHERE s.currency = ${currency} AND ${isWithinTheHour})`;

/** Gives back what was counted for a charge that was not made. */
export async function returnSpending(db: Statements, orderId: string): Promise<void> {
  await db.$executeRaw`
    WITH returned AS (DELETE FROM spending_claims WHERE order_id = ${orderId}::uuid RETURNING currency, minute, amount)
    UPDATE spending_minutes m SET amount = m.amount - r.amount FROM returned r
    WHERE m.currency = r.currency AND m.minute = r.minute`;
}

/** Of a currency with a limit: what counts against it now, in the minor unit. */
export type Spending = { currency: string; spent: number; most: number };
export async function readSpending(db: Statements): Promise<Spending[]> {
  return db.$queryRaw<Spending[]>`
    SELECT l.key AS currency, l.value::float8 AS most, (
      SELECT coalesce(sum(s.amount), 0)::float8 FROM spending_minutes s
      WHERE s.currency = l.key AND ${isWithinTheHour}) AS spent
    FROM brake_periods b CROSS JOIN LATERAL jsonb_each_text(b.limits) AS l
    WHERE b.brake = 'spending' AND b.released_at IS NULL ORDER BY 1`;
}

/** Whether a charge that waits for a brake has a chance now: none holds all of them, and some currency's limit has room. */
export async function mayCharge(db: Statements): Promise<boolean> {
  const engaged = await readBrakes(db);
  if (engaged.some(({ brake }) => brake === 'charging')) return false;
  if (!engaged.some(({ brake }) => brake === 'spending')) return true;
  const limits = await readSpending(db);
  return limits.some(({ spent, most }) => spent < most);
}

/** Removes what counts no more. @returns how many claims */
export async function purgeSpending(db: Statements, limit: number): Promise<number> {
  await db.$executeRaw`DELETE FROM spending_minutes WHERE minute < now() - interval '1 day'`;
  return db.$executeRaw`
    DELETE FROM spending_claims WHERE order_id IN (
      SELECT order_id FROM spending_claims WHERE minute < now() - interval '1 day' ORDER BY minute LIMIT ${limit})`;
}
