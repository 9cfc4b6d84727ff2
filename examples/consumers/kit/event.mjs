/**
 * Events as they arrive: CloudEvents in structured mode (the body is the whole envelope) or binary mode (the body is the data, and
 * the attributes travel as headers under a prefix). What cannot be read will not be readable the next time either.
 */

/** What is at fault is the message, or this program, and no second try will help. */
export class Unreadable extends Error {}

const SEQUENCE_MAX = 1_000_000_000;
/** Names and ids: neither empty, nor too long for a column with an index, nor with what Postgres cannot store. */
const TEXT = /^\P{Cc}{1,200}$/u;
const TIME = /^(?!0000)(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/; // RFC 3339
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

const structured = ({ body }) => json(body);

const binary = (prefix) => (message) => {
  const attributes = Object.entries(message.headers)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value]);
  const event = Object.fromEntries(attributes);
  return { ...event, sequence: Number(event.sequence), data: json(message.body) };
};

const FORMS = {
  feed: structured,
  webhook: structured,
  nats: structured,
  kafka: binary('ce_'),
  rabbitmq: binary('cloudEvents:'),
};

/**
 * @param message `headers` (names → text) and `body` (text), as they came
 * @throws Unreadable. Its words are ours: those of a parser repeat what they stumbled over
 */
export function readEvent(destination, message) {
  const event = FORMS[destination](message);
  const { id, type, subject, sequence, time } = event ?? {};
  require([id, type, subject].every(isText), 'id, type or subject is missing');
  require(Number.isInteger(sequence) && sequence >= 1 && sequence <= SEQUENCE_MAX, 'sequence is not a number from 1');
  const at = momentOf(time);
  require(at !== undefined, 'time is not a time');
  checkData(event);
  return { ...event, time: at };
}

/** Only what this consumer uses: whatever else changes is none of its business. */
function checkData({ type, dataschema, data }) {
  if (!Object.hasOwn(WANTED, type)) return; // types are added: one that is not known here is taken, and has no effect
  require(dataschema === undefined ||
    dataschema === `urn:order-saga:schema:${type}:v1`, 'the data has a version that is not known here');
  require(typeof data === 'object' && data !== null, 'there is no data');
  WANTED[type](data);
}

const WANTED = {
  'order.created': ({ customerReference, customerId }) => {
    require(customerReference === undefined || isReference(customerReference), 'data.customerReference is not an UUID');
    require(customerReference === undefined || isText(customerId), 'data.customerId is missing');
  },
  'order.confirmed': ({ total }) => {
    require(Number.isSafeInteger(total?.amount) && total.amount >= 0, 'data.total.amount is not an amount');
    require(isText(total.currency), 'data.total.currency is missing');
  },
  'order.cancelled': () => undefined,
  'customer.erased': ({ customerReference }) =>
    require(isReference(customerReference), 'data.customerReference is not an UUID'),
};

/**
 * Whose event it is and which of it, from the event's id, which every destination carries beside the body: of a message whose body
 * cannot be read, this says which order must wait.
 */
export function identityOf(id) {
  const [, subject, sequence] = /^(.+)-([1-9]\d{0,8})$/.exec(id ?? '') ?? [];
  if (!isText(id)) return {};
  return subject === undefined ? { id } : { id, subject, sequence: Number(sequence) };
}

/** @returns a time as Postgres takes it, too, whose calendar has no 30th of February; undefined if it is none */
function momentOf(time) {
  const [, day] = TIME.exec(typeof time === 'string' ? time : '') ?? [];
  const ms = Date.parse(day === undefined ? '' : time);
  if (Number.isNaN(ms) || new Date(`${day}T00:00:00Z`).toISOString().slice(0, 10) !== day) return undefined;
  const at = new Date(ms).toISOString();
  return TIME.test(at) ? at : undefined; // an offset may lead out of the years that have four digits
}

/** Whether it may be a customer's reference. */
export const isReference = (value) => typeof value === 'string' && UUID.test(value);

/** What was parsed already, as a body. What is nested so deeply that it can be read and not written becomes what cannot be read. */
export function bodyOf(parsed) {
  try {
    return JSON.stringify(parsed) ?? '';
  } catch {
    return 'nested too deeply';
  }
}

const isText = (value) => typeof value === 'string' && TEXT.test(value);

function json(body) {
  try {
    return JSON.parse(body);
  } catch {
    throw new Unreadable('the body is not JSON');
  }
}

function require(isSo, sentence) {
  if (!isSo) throw new Unreadable(sentence);
}
