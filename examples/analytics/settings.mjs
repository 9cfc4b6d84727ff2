/** Settings, read once. A wrong one ends the program with a sentence that names it. */

/** A day's polls are nothing to the service; an answer is as old as this, at most. */
const POLL_MS = 500;

export function readSettings(env) {
  return Object.freeze({
    databaseUrl: required(env, 'DATABASE_URL'),
    ordersUrl: required(env, 'ORDERS_URL').replace(/\/+$/, ''),
    token: env.ORDERS_TOKEN,
    host: env.HOST ?? '127.0.0.1',
    port: number(env, 'PORT', { least: 0, most: 65_535, otherwise: 4_100 }),
    pollMs: number(env, 'POLL_MS', { least: 10, most: 60_000, otherwise: POLL_MS }),
    pageSize: number(env, 'PAGE_SIZE', { least: 1, most: 1_000, otherwise: 1_000 }),
    cacheTtlMs: number(env, 'CACHE_TTL_MS', { least: 0, most: 60_000, otherwise: 1_000 }),
  });
}

function required(env, name) {
  if (env[name]) return env[name];
  throw new Error(`${name} is not set.`);
}

function number(env, name, { least, most, otherwise }) {
  const text = env[name] ?? `${otherwise}`;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new Error(`${name} must be a whole number from ${least} to ${most}.`);
}
