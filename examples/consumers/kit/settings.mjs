/** Settings: environment variables with bounds. A wrong one ends the program with a sentence that names it. */

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const EX_CONFIG = 78; // of sysexits.h

/** @param fallback what it is if it is unset; none: it must be set */
export const text = (fallback) => ({ fallback, parse: (given) => given });

export const count = (fallback, least, most) => ({
  fallback: String(fallback),
  parse: (given) => {
    if (/^\d+$/.test(given) && Number(given) >= least && Number(given) <= most) return Number(given);
    throw new Error(`it is a whole number from ${least} to ${most}`);
  },
});

/** Written as 500ms, 30s, 2m, 1h or 7d. @returns milliseconds */
export const duration = (fallback, least, most) => ({
  fallback,
  parse: (given) => {
    const ms = durationMs(given);
    if (ms >= durationMs(least) && ms <= durationMs(most)) return ms;
    throw new Error(`it is a duration from ${least} to ${most}, such as ${fallback}`);
  },
});

function durationMs(given) {
  const [, number, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(given) ?? [];
  return Number(number) * UNITS_MS[unit]; // NaN is within no bounds
}

/** What all of these programs have. */
const COMMON = {
  DATABASE_URL: text(),
  /** Orders that are worked on at a time, each in a transaction, and so the connections to Postgres. */
  CONCURRENCY: count(8, 1, 64),
  /** Messages in hand: read, and not acknowledged yet. With that many it reads no further. */
  BATCH: count(100, 1, 1_000),
  /** The pause before the second try; before the third it is five times as long. */
  RETRY_BACKOFF: duration('200ms', '10ms', '1m'),
  /** How long the inbox remembers an order after its last event: longer than anything can be delivered again. */
  INBOX_RETENTION: duration('90d', '1d', '3650d'),
  /** How long what is in hand may take to finish after SIGTERM. */
  SHUTDOWN_LIMIT: duration('10s', '1s', '5m'),
  /** GET /metrics on 127.0.0.1; 0 = none. */
  METRICS_PORT: count(0, 0, 65_535),
};

/** @param own the destination's own settings. @returns the values by their names; does not return if one is wrong */
export function readSettings(own, env = process.env) {
  const faults = [];
  const entries = Object.entries({ ...COMMON, ...own }).map(([name, { fallback, parse }]) => {
    const given = env[name] || fallback;
    if (given === undefined) faults.push(`${name} is not set.`);
    try {
      return [name, given === undefined ? undefined : parse(given)];
    } catch (err) {
      faults.push(`${name} is wrong: ${err.message}.`);
      return [name, undefined];
    }
  });
  if (faults.length === 0) return Object.fromEntries(entries);
  process.stderr.write(`${faults.join('\n')}\n`);
  process.exit(EX_CONFIG);
}
