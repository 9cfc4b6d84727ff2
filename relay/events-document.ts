/** docs/events.md and the files in contracts/schemas/: what consumers read, made from the schemas. */
import { ENVELOPE_SCHEMA, EVENT_SCHEMAS, EVENT_TYPES, type EventType } from '../contracts/event-schemas.js';
import { toCloudEvent } from '../contracts/events.js';

type Field = {
  description?: string;
  type?: string | readonly string[];
  const?: unknown;
  enum?: readonly string[];
  properties?: Record<string, Field>;
  required?: readonly string[];
  items?: Field;
};
type Schema = Field & { $id: string; examples?: readonly unknown[] };

/** @returns file name → content: one schema per event type and version, and the envelope's */
export function schemaFiles(): Map<string, string> {
  const schemas: Schema[] = [ENVELOPE_SCHEMA, ...Object.values(EVENT_SCHEMAS)];
  return new Map(schemas.map((schema) => [fileOf(schema), `${JSON.stringify(schema, null, 2)}\n`]));
}

/** `urn:order-saga:schema:order.created:v1` → `order.created.v1.json` */
const fileOf = ({ $id }: Schema): string => `${$id.split(':').slice(-2).join('.')}.json`;

/** @returns the text of docs/events.md */
export function eventsDocument(): string {
  return `${[INTRODUCTION, typeTable(), envelope(), ...EVENT_TYPES.map(section), PROMISES].join('\n\n')}\n`;
}

const INTRODUCTION = `# Events
<!-- Made from contracts/event-schemas.ts by \`npm run events-doc\`. Do not edit: a test notices. -->

Everything that happens to an order, and that a customer is erased, as [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).
Each event is written by the transaction that makes it true. How they reach you: the feed \`GET /events\`, always, as pages or
as Server-Sent Events; and the [destinations](destinations.md) that are configured.`;

function typeTable(): string {
  const rows = EVENT_TYPES.map((type) => `| [\`${type}\`](#${anchor(type)}) | ${EVENT_SCHEMAS[type].description} |`);
  return ['## Types', '| type | when |', '|---|---|', ...rows].join('\n');
}

/** As GitHub makes them of headings. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');

function envelope(): string {
  const example = toCloudEvent({
    orderId: EVENT_SCHEMAS['order.confirmed'].examples[0].orderId,
    sequence: 4,
    type: 'order.confirmed',
    data: EVENT_SCHEMAS['order.confirmed'].examples[0],
    correlationId: '01a1fc4b-2620-7f1e-9c55-2f1d3b8f0a11',
    traceparent: null,
    occurredAt: new Date('2026-11-21T09:00:00.123Z'),
  });
  return [
    '## Envelope',
    `Schema: [${fileOf(ENVELOPE_SCHEMA)}](../contracts/schemas/${fileOf(ENVELOPE_SCHEMA)})`,
    '',
    ...fieldTable(ENVELOPE_SCHEMA),
    '',
    ...json(example),
  ].join('\n');
}

function section(type: EventType): string {
  const schema: Schema = EVENT_SCHEMAS[type];
  return [
    `## ${type}`,
    `${schema.description} Schema: [${fileOf(schema)}](../contracts/schemas/${fileOf(schema)})`,
    '',
    ...fieldTable(schema),
    '',
    ...json(schema.examples?.[0]),
  ].join('\n');
}

const json = (value: unknown): string[] => ['```json', JSON.stringify(value), '```'];

const fieldTable = (schema: Field): string[] => ['| field | type | |', '|---|---|---|', ...fieldRows(schema, '')];

function fieldRows({ properties = {}, required = [] }: Field, prefix: string): string[] {
  return Object.entries(properties).flatMap(([name, field]) => {
    const optional = required.includes(name) ? '' : ', optional';
    const nested = field.items ?? field;
    return [
      `| \`${prefix}${name}\` | ${typeName(field)}${optional} | ${field.description ?? ''} |`,
      ...fieldRows(nested, `${prefix}${name}${field.items ? '[]' : ''}.`),
    ];
  });
}

function typeName(field: Field): string {
  if (field.const !== undefined) return `\`${JSON.stringify(field.const)}\``;
  if (field.enum) return field.enum.map((value) => `\`${value}\``).join(', ');
  if (field.items) return `array of ${field.items.type}`;
  return [field.type ?? 'any'].flat().join(' or ');
}

const PROMISES = `## What you may rely on
- **At least once.** An event may arrive again, after a crash or a lost answer of yours: keep the \`id\`s that you have worked on, in
  the same transaction as your effect.
- **In order per subject**, which is an order, or of \`customer.…\` a customer, by the reference that \`order.created\` has told. The first arrivals of an order's events are its \`sequence\` 1, 2, 3 … without a gap. Where it begins
  above 1, the order was under way when the destination [began](destinations.md#where-a-new-destination-begins), or its first
  events are older than what is kept; from there on there is no gap either. Between orders there is no order to rely on in
  destinations; the feed has one that never changes.
- **The feed never skips.** Keep \`next\` (or the stream's last \`id\`) and go on from there: an event that is committed late comes
  later, never before your cursor. A page may hold fewer events than \`limit\`, for its bytes are bounded too: only a \`next\` that
  equals your \`after\` means that there is nothing more.
- **The feed says how complete it is**, in a page's header \`Feed-As-Of\`: every event whose \`time\` is before it is on that page or an earlier one,
  whatever was slow to commit; it moves on while nothing is new. A page without it leaves you where you were. It is the database's clock that
  speaks: one that is set back, as in a failover, can make it untrue.
- **Retention.** Events stay for \`OUTBOX_RETENTION\` (30 days), and beyond it until every destination in use has taken them. A
  cursor behind which events have left is answered 410: \`gap\` says what is missing, and \`oldest\` is the cursor that goes on
  without it, which is for a person to decide. \`GET /orders/{id}/events\` then begins above \`sequence\` 1.
- **An erased customer.** \`customer.erased\` comes after all events of their orders that were written before it in the feed; a destination, which keeps order per
  subject only, may have it a little sooner than the last of them. What still comes of those orders then has nothing personal in it. It is kept, partitioned, held as a dead letter and
  replayed as any other event, by its own \`subject\`. Erase what you keep of the customer and of their orders' people, and keep the \`id\`s that you have worked on.
- **Schemas grow by optional fields only.** Ignore what you do not know. Whatever else changes comes as a new version, with
  another \`dataschema\`: see [decision 7](decisions/0007-event-contracts.md).
- **Types are added.** An event of a \`type\` that you do not know is no error: take it, keep its \`id\` and \`sequence\` as of any other,
  and do nothing else. A consumer that refused it would hold back the later events of its order.
- **Customers.** \`data.customerReference\` is a customer's random reference, the same in all of its events, and of no use outside of them;
  \`data.customerId\` the id that the order was placed with, or the reference where \`EVENTS_CUSTOMER=reference\`. Who is erased is told as the reference
  in both, in whatever is delivered, replayed or read after that: a destination hears the id for seconds longer at most. A person who comes back has
  another reference. Keep the reference beside what you keep of a customer; a client's id that equals a reference is no reference. The
  role \`customer\` reads its own id alone.
- **No personal data**: opaque ids, amounts, codes. \`customerId\` and \`externalOrderId\` are what the ordering program gave: they must be
  numbers of its own, never an e-mail address or a name, since they are kept, listed and delivered as they are, until the customer is erased.`;
