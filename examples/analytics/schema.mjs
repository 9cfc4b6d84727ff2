/**
 * The tables, in a schema of their own. A *generation* is one whole set of sums with the place in the feed that they have come to:
 * one is live and answers; another may be built beside it, and takes its place when it has caught up.
 */
const SCHEMA = `
  CREATE SCHEMA IF NOT EXISTS analytics;
  CREATE TABLE IF NOT EXISTS analytics.generations (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    cursor text,                                -- of the feed; null = before its first page
    as_of timestamptz(3),                       -- no event of before it is missing, once the orders are listed
    listed_to text,                             -- of the orders API: where its list goes on
    listed boolean NOT NULL DEFAULT false,
    created_at timestamptz(3) NOT NULL DEFAULT now());
  CREATE UNIQUE INDEX IF NOT EXISTS one_of_each ON analytics.generations (state) WHERE state <> 'retired';
  CREATE TABLE IF NOT EXISTS analytics.orders (
    generation int, order_id uuid,
    placed_at timestamptz(3), confirmed_at timestamptz(3), cancelled_at timestamptz(3),
    reason text, currency text, total bigint, items jsonb,
    PRIMARY KEY (generation, order_id));
  CREATE TABLE IF NOT EXISTS analytics.totals (
    generation int, grain text, start timestamptz(0), currency text,
    placed bigint NOT NULL, placed_amount bigint NOT NULL, confirmed bigint NOT NULL, revenue bigint NOT NULL,
    cancelled bigint NOT NULL, reversed bigint NOT NULL, reversed_amount bigint NOT NULL,
    PRIMARY KEY (generation, grain, start, currency));
  CREATE TABLE IF NOT EXISTS analytics.products (
    generation int, grain text, start timestamptz(0), currency text, sku text,
    sold bigint NOT NULL, sold_amount bigint NOT NULL, returned bigint NOT NULL, returned_amount bigint NOT NULL,
    PRIMARY KEY (generation, grain, start, currency, sku));
  CREATE TABLE IF NOT EXISTS analytics.reasons (
    generation int, grain text, start timestamptz(0), currency text, reason text, cancelled bigint NOT NULL,
    PRIMARY KEY (generation, grain, start, currency, reason));
  CREATE TABLE IF NOT EXISTS analytics.unreadable (
    generation int, event_id text, why text NOT NULL, PRIMARY KEY (generation, event_id));`;

/** Any number, chosen once: two processes may begin at the same moment. */
const SETUP_LOCK = 4_100;

export async function setUp(db) {
  await db.query(`SELECT pg_advisory_xact_lock(${SETUP_LOCK}); ${SCHEMA}`); // one text is one transaction
}
