/** Log: one line of JSON each, with what leads from it to the order's story: correlation id and trace. */

const levels = ['info', 'warn', 'error'];

/** @returns `log.info(message, fields)` and so on; fields are ids and figures, never what an event says of a person */
export function createLog(consumer) {
  const write = (level, msg, fields) =>
    process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), level, consumer, msg, ...fields })}\n`);
  return Object.fromEntries(levels.map((level) => [level, (msg, fields = {}) => write(level, msg, fields)]));
}

/** What a line says about an event, or about a message of which no more than this is known. */
export function factsOf({ id, subject, sequence, type, correlationid, traceparent }) {
  const [, traceId, spanId] = traceparent?.split?.('-') ?? [];
  return { eventId: id, orderId: subject, sequence, type, correlationId: correlationid, traceId, spanId };
}

/** Of an error its name, code and message; Postgres puts values into `detail`, which is left out. */
export const wordsOf = (err) => `${err?.code ? `${err.code} ` : ''}${err?.message ?? err}`.slice(0, 300);
