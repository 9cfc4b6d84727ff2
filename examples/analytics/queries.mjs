/**
 * Questions to the live generation. Each is one statement, so that the sums, and the moment up to which they are complete, are of
 * one snapshot: what is answered was all there when `asOf` was.
 */

/** Periods in one answer: 41 days of hours. */
const PERIODS_MAX = 1_000;
const PRODUCTS_MAX = 100;
const LENGTH_MS = { hour: 3_600_000, day: 86_400_000 };
/** What is shown unless another time is asked for. */
const SHOWN = { hour: 48, day: 30 };

/** A question that cannot be answered as it was asked. */
export class BadQuestion extends Error {}

const AS_OF = `SELECT g.id AS generation, g.as_of AS "asOf",
  (SELECT count(*)::int FROM analytics.unreadable u WHERE u.generation = g.id) AS unreadable,
  (SELECT to_jsonb(b) FROM (SELECT listed, as_of AS "asOf" FROM analytics.generations WHERE state = 'building') AS b) AS rebuilding`;

const TOTALS = `${AS_OF}, coalesce((
    SELECT jsonb_agg(to_jsonb(r) ORDER BY r.start, r.currency) FROM (
      SELECT t.start, t.currency, t.placed, t.placed_amount AS "placedAmount", t.confirmed, t.revenue, t.cancelled,
        t.reversed, t.reversed_amount AS "reversedAmount", t.revenue - t.reversed_amount AS net,
        round(t.cancelled::numeric / nullif(t.confirmed + t.cancelled, 0), 4) AS "cancellationRate",
        (SELECT coalesce(jsonb_object_agg(c.reason, c.cancelled), '{}') FROM analytics.reasons c
         WHERE (c.generation, c.grain, c.start, c.currency) = (t.generation, t.grain, t.start, t.currency) AND c.cancelled > 0) AS reasons,
        t.start + $4::interval <= g.as_of AS closed
      FROM analytics.totals t
      WHERE t.generation = g.id AND t.grain = $1 AND t.start >= $2 AND t.start < $3) AS r), '[]') AS rows
  FROM analytics.generations g WHERE g.state = 'live'`;

const PRODUCTS = `${AS_OF}, coalesce((
    SELECT jsonb_agg(to_jsonb(r) ORDER BY r.currency, r.rank) FROM (
      SELECT s.*, row_number() OVER (PARTITION BY s.currency ORDER BY s.net DESC, s.sku) AS rank FROM (
        SELECT p.sku, p.currency, sum(p.sold - p.returned)::bigint AS quantity, sum(p.sold_amount - p.returned_amount)::bigint AS net
        FROM analytics.products p
        WHERE p.generation = g.id AND p.grain = $1 AND p.start >= $2 AND p.start < $3
        GROUP BY p.sku, p.currency) AS s) AS r WHERE r.rank <= $4), '[]') AS rows
  FROM analytics.generations g WHERE g.state = 'live'`;

/** @returns the answer without how far it is behind; undefined = nothing is live yet */
export async function askTotals(db, question) {
  const { grain, from, to } = question;
  return answer(await db.query(TOTALS, [grain, from, to, `1 ${grain}`]), question);
}

export async function askProducts(db, question) {
  const { grain, from, to, limit } = question;
  return answer(await db.query(PRODUCTS, [grain, from, to, limit]), question);
}

export async function askStatus(db) {
  return answer(await db.query(`${AS_OF} FROM analytics.generations g WHERE g.state = 'live'`), {});
}

function answer({ rows: [row] }, question) {
  if (!row) return undefined;
  const { asOf, ...rest } = row;
  return { asOf: asOf.toISOString(), ...rest, ...question };
}

/** @param parameters of the address. @throws BadQuestion naming the parameter */
export function readQuestion(parameters, now = Date.now()) {
  for (const name of parameters.keys())
    if (!['grain', 'from', 'to', 'limit'].includes(name)) throw new BadQuestion(`${name}: there is no such parameter`);
  const grain = parameters.get('grain') ?? 'hour';
  if (!Object.hasOwn(LENGTH_MS, grain)) throw new BadQuestion('grain: hour or day');
  const length = LENGTH_MS[grain];
  const to = Math.ceil(readMoment(parameters, 'to', Math.floor(now / length) * length + length) / length) * length;
  const from = Math.floor(readMoment(parameters, 'from', to - SHOWN[grain] * length) / length) * length;
  if (from >= to) throw new BadQuestion('from: must be before `to`');
  if ((to - from) / length > PERIODS_MAX) throw new BadQuestion(`from: ${PERIODS_MAX} ${grain}s at most`);
  const limit = parameters.get('limit') ?? '10';
  if (!/^\d{1,3}$/.test(limit) || limit < 1 || limit > PRODUCTS_MAX)
    throw new BadQuestion(`limit: a whole number from 1 to ${PRODUCTS_MAX}`);
  return { grain, from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: Number(limit) };
}

function readMoment(parameters, name, otherwise) {
  const text = parameters.get(name);
  if (text === null) return otherwise;
  const at = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new BadQuestion(`${name}: a moment in UTC, such as 2026-11-29T14:00:00Z`);
  return at;
}
