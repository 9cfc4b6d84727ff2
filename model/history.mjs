/**
 * Recorded sagas as paths of the model: what a history shows of an order, in the model's actions. What it does not show, since an
 * answer was lost, stands as an action that may have been (`land?`); the model says whether that fits. docs/model.md has the rules.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const STEPS = { reserveInventory: 'Reserve', chargePayment: 'Charge', confirmOrder: 'Confirm' };
const OWN_REFUSALS = { OUT_OF_STOCK: 'refuse', UNKNOWN_SKU: 'refuse', PAYMENT_DECLINED: 'decline' };
const REASONS = { CANCELLED_BY_CUSTOMER: 'Asked', OPERATOR: 'Asked', DEADLINE_EXCEEDED: 'Deadline' };
/** What an order did before its cancellation, where only that was recorded. */
const CONFIRMED = ['firstStart', 'begin Reserve', 'reserve', 'begin Charge', 'ask', 'land', 'recordConfirmed', 'end'];
const TOLD = {
  'order.created': 'Accepted',
  'inventory.reserved': 'StockReserved',
  'inventory.reservation.failed': 'Failed',
  'payment.charged': 'PaymentCharged',
  'payment.declined': 'Failed',
  'order.confirmed': 'OrderConfirmed',
  'inventory.released': 'StockReleased',
  'payment.refunded': 'PaymentRefunded',
  'order.cancelled': 'OrderCancelled',
};
const FIRST_START = 'firstStart';

/**
 * @param folder of histories as `temporal workflow show --output json` writes them, one a file; `events.json`, if it is there, has
 *   the types of each order's events, in their order
 * @returns one path an order, its runs one after the other
 */
export function pathsOf(folder) {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  const runs = files.filter((file) => file !== 'events.json').map((file) => readRun(folder, file));
  const told = files.includes('events.json') ? JSON.parse(readFileSync(join(folder, 'events.json'), 'utf8')) : {};
  const orders = new Map();
  for (const run of runs) orders.set(run.orderId, [...(orders.get(run.orderId) ?? []), run]);
  return [...orders].map(([orderId, all]) => {
    const sorted = all.toSorted((a, b) => a.startedAt.localeCompare(b.startedAt));
    return { name: sorted.map(({ file }) => file).join(' + '), ...pathOf(sorted, told[orderId]) };
  });
}

function readRun(folder, file) {
  const { events } = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  const [started] = events;
  const { workflowType, input } = started.workflowExecutionStartedEventAttributes;
  const { orderId, reason } = decoded(input.payloads[0]);
  return { file, orderId, reason, events, type: workflowType.name, startedAt: started.eventTime };
}

/** @param runs of one order, oldest first; @param events the types of its events, if they are known */
export function pathOf(runs, events) {
  const order = new Order();
  for (const run of runs) translate(order, run);
  if (events) order.add(`tells ${events.map((type) => TOLD[type] ?? unknown(`event "${type}"`)).join(' ')}`);
  return { actions: order.actions, from: order.from };
}

/** What is known of an order as its histories are read. */
class Order {
  actions = [];
  from = [];
  at = '';
  begun = new Set();
  /** Steps that a run which was ended from outside may have begun: that is recorded with their end only. */
  mayBeBegun = new Set();
  done = new Set();
  lost = new Set();
  reason;
  isConfirmed = false;
  isRefunded = false;
  isCancelled = false;

  add(...actions) {
    for (const action of actions) {
      if (action.endsWith('?') && action === this.actions.at(-1)) continue; // that it may have been is said already
      this.actions.push(action);
      this.from.push(this.at);
    }
  }

  begin(step) {
    if (!this.begun.has(step)) this.add(`begin ${step}${this.mayBeBegun.has(step) ? '?' : ''}`);
    this.begun.add(step);
    // It asks the gateway only if the row lets it, and if no request is under way.
    if (step === 'Charge' && !this.done.has('Charge')) this.add('ask?');
  }

  succeed(step, { skippedBy, confirmed } = {}) {
    const isNew = !this.done.has(step);
    this.done.add(step);
    if (step === 'Reserve' && isNew) this.add(skippedBy ? 'skipReserve' : 'reserve');
    if (step === 'Charge' && isNew && skippedBy) this.add('skip');
    if (step === 'Charge' && isNew && !skippedBy) {
      // A first try whose answer was lost may have confirmed the order as well.
      this.add('land?', confirmed ? 'recordConfirmed' : this.lost.has('Charge') ? 'record|recordConfirmed' : 'record');
    }
    if (step === 'Confirm') this.add('confirm?');
    if (step === 'Confirm' || confirmed) {
      this.isConfirmed = true;
      this.add('is Confirmed');
    }
  }

  /** A step's own "no", or that of the order's row, which someone has decided. */
  refuse(reason) {
    const own = OWN_REFUSALS[reason];
    if (this.reason === reason) return;
    if (own === undefined) return this.decide(reason);
    this.reason = reason;
    this.add(own);
  }

  /** Before it, whatever had an effect without an answer. */
  decide(reason) {
    if (this.reason !== undefined) return;
    this.addLost();
    this.reason = reason;
    const decided = REASONS[reason] ?? unknown(`reason "${reason}"`);
    this.add(decided === 'Deadline' ? 'deadline' : 'cancel');
  }

  addLost() {
    for (const step of this.lost) {
      if (this.done.has(step)) continue;
      if (step === 'Reserve') this.add('reserve?');
      if (step === 'Charge') this.add('land?', 'record?|recordConfirmed');
    }
  }

  /** The row says so, although no try of ours has said it. */
  confirmUnheard() {
    if (!this.isConfirmed && !this.done.has('Charge')) this.add('ask?', 'land?', 'record?|recordConfirmed');
    if (!this.isConfirmed) this.add('begin Confirm?', 'confirm?');
    if (!this.begun.has('Confirm')) this.mayBeBegun.add('Confirm');
    this.done.add('Charge');
    this.isConfirmed = true;
    this.add('is Confirmed');
  }

  /** A first try that was under way may have had its effect. */
  terminate() {
    const step = Object.values(STEPS).find((one) => !this.done.has(one));
    if (step && !this.begun.has(step) && this.reason === undefined) {
      this.mayBeBegun.add(step);
      this.lost.add(step);
      this.add(`begin ${step}?`, ...(step === 'Charge' ? ['ask?'] : []));
    }
    this.add('terminate');
  }

  undo(name, undone, skippedBy) {
    if (name === 'refundPayment') {
      if (!this.isRefunded && undone === 'done')
        this.add('land?', 'shut?', 'giveBack?', skippedBy ? 'skipRefund' : 'recordRefund');
      else if (!this.isRefunded) this.add('shut?');
      this.isRefunded ||= undone === 'done';
      this.add('refundDone', undone === 'done' ? 'told PaymentRefunded' : 'untold PaymentRefunded');
    }
    if (name === 'releaseInventory')
      this.add('release', undone === 'done' ? 'told StockReleased' : 'untold StockReleased');
    if (name === 'cancelOrder' && !this.isCancelled) {
      this.isCancelled = true;
      this.add('finish');
    }
  }
}

function translate(order, run) {
  const facts = factsOf(run.events);
  const isCancellation = run.type === 'CancelOrderSaga';
  const at = ({ eventId, what }) => (order.at = `${run.file}, event ${eventId} (${what})`);
  at({ eventId: 1, what: 'its start' });
  if (isCancellation && order.actions.length === 0) order.add(...CONFIRMED);
  if (isCancellation && order.reason === undefined) order.decide(run.reason);
  order.add(order.actions.length === 0 ? FIRST_START : 'start');
  let isUnwinding = isCancellation;
  for (const [place, fact] of facts.entries()) {
    at(fact);
    const { kind, name, outcome } = fact;
    const step = STEPS[name];
    if (kind === 'begun' && step) order.begin(step);
    if (kind === 'begun') continue;
    if (kind === 'closed') {
      close(order, fact);
    } else if (name === 'beginUnwinding') {
      if (outcome !== 'done') continue;
      if (fact.result.outcome === 'confirmed') order.confirmUnheard();
      else {
        settleRunning(order, facts, place);
        order.decide(fact.result.reason);
      }
    } else if (step && outcome === 'done') {
      order.succeed(step, { skippedBy: fact.skippedBy, confirmed: fact.result?.confirmed });
    } else if (step && outcome === 'refused') {
      settleRunning(order, facts, place);
      order.refuse(fact.reason);
    } else if (step) {
      order.lost.add(step);
    } else if (outcome === 'done' && ['refundPayment', 'releaseInventory', 'cancelOrder'].includes(name)) {
      if (!isUnwinding) order.add('unwind');
      isUnwinding = true;
      order.undo(name, fact.result.undone, fact.skippedBy);
    }
  }
}

/** A try that was under way when the order's row was asked, and has succeeded: it did so before, or the row would have refused it. */
function settleRunning(order, facts, place) {
  if (order.reason !== undefined) return;
  for (const { kind, id, name, outcome, ...fact } of facts.slice(place + 1)) {
    const hasBegun = facts.slice(0, place).some((other) => other.kind === 'begun' && other.id === id);
    if (kind === 'ended' && hasBegun && outcome === 'done' && STEPS[name])
      order.succeed(STEPS[name], { skippedBy: fact.skippedBy, confirmed: fact.result?.confirmed });
  }
}

function close(order, { result }) {
  if (result === undefined) order.terminate();
  else if (result.status === 'CONFIRMED') order.add('end', 'is Confirmed');
  else order.add('is Cancelled', `because ${REASONS[result.reason] ?? 'Refused'}`);
}

/** A history's events, as far as they say what was tried and what came of it. */
function factsOf(events) {
  const facts = [];
  const ordinary = new Map();
  const local = localActivities(events);
  for (const event of events) {
    const { eventId } = event;
    const type = event.eventType.replace(/^EVENT_TYPE_/, '');
    const [, attributes = {}] = Object.entries(event).find(([key]) => key.endsWith('EventAttributes')) ?? [];
    if (type === 'MARKER_RECORDED' && attributes.markerName === 'core_local_activity') {
      const ended = endedLocally(attributes, eventId);
      // Its begin is not recorded; those that were called before it and end after it were running, too.
      const running = local.filter(({ seq, place }) => seq < ended.seq && place > Number(eventId));
      for (const { seq, name } of [...running, ended])
        if (!facts.some(({ id }) => id === `local ${seq}`))
          facts.push({ kind: 'begun', id: `local ${seq}`, name, eventId, what: name });
      facts.push(ended);
    } else if (type === 'ACTIVITY_TASK_SCHEDULED') {
      const { name } = attributes.activityType;
      const { skippedBy } = decoded(attributes.input.payloads[0]);
      ordinary.set(eventId, { id: `event ${eventId}`, name, skippedBy });
      facts.push({ kind: 'begun', ...ordinary.get(eventId), eventId, what: name });
    } else if (/^ACTIVITY_TASK_(COMPLETED|FAILED|TIMED_OUT|CANCELED)$/.test(type)) {
      const begun = ordinary.get(attributes.scheduledEventId);
      const outcome = outcomeOf(attributes, type === 'ACTIVITY_TASK_COMPLETED');
      facts.push({ kind: 'ended', ...begun, ...outcome, eventId, what: begun.name });
    } else if (/^WORKFLOW_EXECUTION_(COMPLETED|FAILED|TIMED_OUT|CANCELED|TERMINATED|CONTINUED_AS_NEW)$/.test(type)) {
      const result = type.endsWith('COMPLETED') ? decoded(attributes.result.payloads[0]) : undefined;
      facts.push({ kind: 'closed', result, eventId, what: 'its end' });
    }
  }
  return facts;
}

const dataOf = ({ details }) => decoded(details.data.payloads[0]);
const localActivities = (events) =>
  events.flatMap(({ eventId, markerRecordedEventAttributes: marker }) => {
    if (marker?.markerName !== 'core_local_activity') return [];
    const { seq, activity_type: name } = dataOf(marker);
    return [{ seq, name, place: Number(eventId) }];
  });

function endedLocally(marker, eventId) {
  const { seq, activity_type: name } = dataOf(marker);
  const result = marker.details.result;
  return {
    ...{ kind: 'ended', seq, id: `local ${seq}`, name, eventId, what: name },
    ...outcomeOf({ result, failure: marker.failure }, marker.failure === undefined),
  };
}

function outcomeOf({ result, failure }, hasSucceeded) {
  if (hasSucceeded) return { outcome: 'done', result: result?.payloads?.[0] && decoded(result.payloads[0]) };
  const info = failure?.applicationFailureInfo;
  if (info?.type !== 'Refusal') return { outcome: 'unknown' };
  return { outcome: 'refused', reason: decoded(info.details.payloads[0]).reason };
}

function decoded({ data = '' }) {
  const text = Buffer.from(data, 'base64').toString();
  return text === '' ? undefined : JSON.parse(text);
}

function unknown(what) {
  throw new Error(`The model has no ${what}`);
}
