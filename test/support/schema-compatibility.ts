/**
 * Compares two versions of a schema as their consumers and our own outbox would: an event that was written under either must
 * be what the other promises. Only an optional property may come. Everything else is named.
 */

/** A JSON Schema of the few keywords that ours use; any other keyword is refused, since it would not be compared. */
export type Schema = { [keyword: string]: unknown };

const ANNOTATIONS = ['$schema', '$id', 'title', 'description', 'examples'];
/** Keywords whose value must stay as it is. */
const RULES = ['const', 'format', 'pattern', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems'];
const STRUCTURE = ['type', 'enum', 'properties', 'required', 'items'];

/** @returns a sentence for each change to a released schema that breaks it, beginning with the schema's name: `order.created:v1.total: removed` */
export function brokenReleases(released: Schema[], current: Schema[]): string[] {
  const now = new Map(current.map((schema) => [schema['$id'], schema]));
  return released.flatMap((schema) => {
    const name = String(schema['$id']).replace(/^urn:order-saga:schema:/, '');
    const successor = now.get(schema['$id']);
    return successor ? breakingChanges(schema, successor, name) : [`${name}: removed; consumers have been promised it`];
  });
}

/** @returns one sentence per breaking change, each beginning with the place; empty if there is none */
export function breakingChanges(released: Schema, current: Schema, place = 'data'): string[] {
  for (const keyword of [...Object.keys(released), ...Object.keys(current)]) {
    if (![...ANNOTATIONS, ...RULES, ...STRUCTURE].includes(keyword))
      throw new Error(`${place}: no rule compares the keyword "${keyword}"`);
  }
  const id = released['$id'] === current['$id'] ? [] : [`${place}: $id is ${current['$id']}, was ${released['$id']}`];
  return [
    ...id,
    ...typeChanges(released, current, place),
    ...enumChanges(released, current, place),
    ...ruleChanges(released, current, place),
    ...propertyChanges(released, current, place),
    ...itemChanges(released, current, place),
  ];
}

function typeChanges(released: Schema, current: Schema, place: string): string[] {
  const [was, is] = [released, current].map(({ type }) => [type].flat().sort().join(' or '));
  return was === is ? [] : [`${place}: retyped from ${was} to ${is}`];
}

function enumChanges(released: Schema, current: Schema, place: string): string[] {
  const [was, is] = [released, current].map((schema) => schema['enum'] as unknown[] | undefined);
  if (!was && !is) return [];
  if (!was) return [`${place}: narrowed to ${is?.join(', ')}; older events may say otherwise`];
  if (!is) return [`${place}: may be anything now; consumers know only ${was.join(', ')}`];
  return [
    ...was.filter((value) => !is.includes(value)).map((value) => `${place}: ${value} removed; older events have it`),
    ...is.filter((value) => !was.includes(value)).map((value) => `${place}: ${value} added; consumers do not know it`),
  ];
}

function ruleChanges(released: Schema, current: Schema, place: string): string[] {
  return RULES.filter((rule) => released[rule] !== current[rule]).map(
    (rule) => `${place}: ${rule} is ${current[rule] ?? 'gone'}, was ${released[rule] ?? 'absent'}`,
  );
}

function propertyChanges(released: Schema, current: Schema, place: string): string[] {
  const [was, is] = [released, current].map((schema) => (schema['properties'] ?? {}) as Record<string, Schema>);
  const [wasRequired, isRequired] = [released, current].map((schema) => (schema['required'] ?? []) as string[]);
  const changes = Object.entries(was ?? {}).flatMap(([name, schema]) => {
    const now = is?.[name];
    return now ? breakingChanges(schema, now, `${place}.${name}`) : [`${place}.${name}: removed`];
  });
  for (const name of isRequired ?? [])
    if (!wasRequired?.includes(name)) changes.push(`${place}.${name}: required now; older events may lack it`);
  for (const name of wasRequired ?? [])
    if (!isRequired?.includes(name) && is?.[name])
      changes.push(`${place}.${name}: optional now; consumers count on it`);
  return changes;
}

function itemChanges(released: Schema, current: Schema, place: string): string[] {
  const [was, is] = [released, current].map((schema) => schema['items'] as Schema | undefined);
  if (!was && !is) return [];
  return was && is
    ? breakingChanges(was, is, `${place}[]`)
    : [`${place}[]: ${is ? 'described now' : 'undescribed now'}`];
}
