/** Log: one line of JSON each, with what leads from it to the order's story: correlation id and trace. */

const levels = ['info', 'warn', 'error'];
const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})/;
/** Of an attribute that nobody has checked. */
const LENGTH_MAX = 200;

/** @returns `log.info(message, fields)` and so on; fields are ids and figures, never what an event says of a person */
export function createLog(consumer) {
  const write = (level, msg, fields) =>
    process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), level, consumer, msg, ...fields })}\n`);
  return Object.fromEntries(levels.map((level) => [level, (msg, fields = {}) => write(level, msg, fields)]));
}

/** What a line says about an event, or about a message of which no more than this is known. */
export function factsOf({ id, subject, sequence, type, correlationid, traceparent }) {
  const { traceId, spanId } = traceOf(traceparent);
  const correlationId = typeof correlationid === 'string' ? correlationid.slice(0, LENGTH_MAX) : undefined;
  return { eventId: id, orderId: subject, sequence, type, correlationId, traceId, spanId };
}

/** What is in a `traceparent` of W3C's form; nothing of what has another. */
export function traceOf(traceparent) {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(typeof traceparent === 'string' ? traceparent : '') ?? [];
  return { traceId, spanId, flags };
}

/** Of an error its name, code and message; Postgres puts values into `detail`, which is left out. */
export const wordsOf = (err) => `${err?.code ? `${err.code} ` : ''}${err?.message ?? err}`.slice(0, 300);
