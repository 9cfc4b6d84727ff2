/** docs/privacy.md, made from the data map; and the schema of an export. */
import { DATA_MAP } from '../domain/privacy/data-map.js';
import { CustomerExportSchema } from '../domain/privacy/export-schema.js';
import { FLOWS } from '../domain/privacy/map/flows.js';
import type { Fields, Store } from '../domain/privacy/map/kinds.js';
import { RECIPIENTS } from '../domain/privacy/told.js';

export const EXPORT_SCHEMA_FILE = 'contracts/schemas/exports/customer-export.v1.json';

export const exportSchemaText = (): string => {
  const { $id: _, ...schema } = CustomerExportSchema as typeof CustomerExportSchema & { $id?: string };
  const head = { $schema: 'http://json-schema.org/draft-07/schema#', $id: 'urn:order-saga:schema:customer-export:v1' };
  return `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`;
};

const HEAD = `# Personal data
Made by \`npm run privacy-doc\` from the data map in the code (\`domain/privacy/\`). Tests hold the map against what there is: each column
of each table, each property of each event, each search attribute, each label, each key of the payment provider's metadata is in it; and a
test writes a word of its own into every field of every request, takes orders along every path, erases a customer, and finds it where
[the last table](#where-each-field-goes) says, and nowhere else: in tables and in a dump of them, in Temporal, at the payment provider, in events as a webhook, the feed,
Kafka, NATS and RabbitMQ have them, in logs and metrics.

**Kinds.** *personal*: of a customer, by itself or with what stands beside it. *pseudonymous*: leads to a customer by way of another row
only. *staff*: of whoever works for the shop. *none*: of no person. Articles are the GDPR's. The legal bases and purposes are what the service
was built for: whoever runs it is the controller, and decides.

**What is not known.** The service asks for no name, address, e-mail address or card number, and has no field for them. A client can
still write one into a free text or an id; then it is where that field goes. What operators write is refused if it looks like an
e-mail address, an IBAN, a card number or a phone number; a name is not found.

**Ids that clients choose.** \`customerId\` has no \`@\`. A correlation id that looks like one of these is replaced by one of ours. \`externalOrderId\`, an \`Idempotency-Key\` and
a SKU are taken as they are: a tenth of all numbers of sixteen digits pass a card's check, and an order is not refused for that. No log has them; an erasure takes the first two
out, [by this table](#orders); give a shop's numbers and keys that say nothing.

**Requests of persons.** All that is kept of one is \`GET /customers/{id}/export\`, or \`ops export <customer>\`, as one JSON document with
[a schema](../contracts/schemas/exports/customer-export.v1.json). Who of the shop has read whose data is in the audit trail: each order and
customer by itself, by its reference, twenty of a route a minute, further ones counted.
`;

export function privacyDocument(): string {
  const groups = DATA_MAP.map(({ title, stores }) => `## ${title}\n${stores.map(describeStore).join('\n')}`);
  return `${[HEAD, ...groups, describeRecipients(), describeFlows()].join('\n')}`;
}

const describeStore = ({ store, purpose, basis, retention, parts }: Store): string =>
  `### ${/^[a-z_]+$/.test(store) ? `\`${store}\`` : store.charAt(0).toUpperCase() + store.slice(1)}
To ${purpose} · ${basis} · kept ${retention}

| field | kind | what | erased |
|---|---|---|---|
${parts.map(describeFields).join('\n')}
`;

const describeFields = ({ kind, fields, what = '', erased = '–' }: Fields): string =>
  `| ${fields.map((field) => `\`${field}\``).join(', ')} | ${kind} | ${what} | ${erased} |`;

const describeRecipients = (): string =>
  `## Recipients
Of those destinations that are configured (GDPR, article 30(1)(d)):

| recipient | receives |
|---|---|
${Object.entries(RECIPIENTS)
  .filter(([recipient]) => recipient !== 'other')
  .map(([recipient, receives]) => `| ${recipient} | ${receives} |`)
  .join('\n')}
`;

const describeFlows = (): string =>
  `## Where each field goes
By operation and field; *nowhere*: it is used, and not kept.

| field | is found in |
|---|---|
${Object.entries(FLOWS)
  .map(([field, { to }]) => `| \`${field}\` | ${to.map((place) => `\`${place}\``).join(', ') || 'nowhere'} |`)
  .join('\n')}
`;
