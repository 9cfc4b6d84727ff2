/**
 * Breaking changes between two OpenAPI documents: what would break a client that was written for the earlier one. Requests
 * may come to mean more, never less; answers may come to say more, never less. A new value that an answer's field may take
 * is a break too: a client that distinguishes the old ones does not know what to do.
 */
import { type OpenApi, type Operation, operationsOf, resolve, type Schema } from './openapi.js';

/** @returns a sentence for each break */
export function breakingChanges(before: OpenApi, after: OpenApi): string[] {
  const now = new Map(operationsOf(after).map((operation) => [`${operation.method} ${operation.path}`, operation]));
  return operationsOf(before).flatMap((earlier) => {
    const name = `${earlier.method} ${earlier.path}`;
    const later = now.get(name);
    if (!later) return [`${name}: is gone`];
    const breaks = [
      ...callerBreaks(earlier, later),
      ...parameterBreaks(earlier, later, { before, after }),
      ...bodyBreaks(earlier, later, { before, after }),
      ...answerBreaks(earlier, later, { before, after }),
    ];
    return breaks.map((sentence) => `${name}: ${sentence}`);
  });
}

type Documents = { before: OpenApi; after: OpenApi };

function callerBreaks(before: Operation, after: Operation): string[] {
  const rolesOf = ({ security }: Operation) => security[0]?.bearer;
  const [had, has] = [rolesOf(before), rolesOf(after)];
  if (!has) return [];
  if (!had) return ['asks for a token now'];
  return had.filter((role) => !has.includes(role)).map((role) => `is closed to ${role} now`);
}

function parameterBreaks(before: Operation, after: Operation, documents: Documents): string[] {
  const [had, has] = [before.parameters ?? [], after.parameters ?? []];
  const same = (a: { name: string; in: string }) => (b: { name: string; in: string }) =>
    a.name === b.name && a.in === b.in;
  return [
    ...had.flatMap((earlier) => {
      const later = has.find(same(earlier));
      if (!later) return [`${earlier.in} parameter ${earlier.name} is gone`];
      return [
        ...(later.required && !earlier.required ? [`${later.in} parameter ${later.name} is required now`] : []),
        ...narrowed(earlier.schema, later.schema, `${later.in} parameter ${later.name}`, documents),
      ];
    }),
    ...has
      .filter((later) => later.required && !had.some(same(later)))
      .map((later) => `${later.in} parameter ${later.name} is new and required`),
  ];
}

function bodyBreaks(before: Operation, after: Operation, documents: Documents): string[] {
  if (!after.requestBody) return before.requestBody ? ['takes no body any more'] : [];
  if (!before.requestBody) return after.requestBody.required ? ['asks for a body now'] : [];
  const now = after.requestBody.content;
  return Object.entries(before.requestBody.content).flatMap(([type, { schema }]) =>
    now[type] ? narrowed(schema, now[type].schema, 'the body', documents) : [`takes no ${type} any more`],
  );
}

/** Of refusals only the successes matter: a client that is refused otherwise than before is still refused. */
function answerBreaks(before: Operation, after: Operation, documents: Documents): string[] {
  const successes = Object.entries(before.responses).filter(([status]) => status.startsWith('2'));
  return successes.flatMap(([status, { content = {} }]) => {
    const now = after.responses[status];
    if (!now) return [`does not answer ${status} any more`];
    return Object.entries(content).flatMap(([type, { schema }]) => {
      const media = now.content?.[type];
      // The other way round: whatever is answered now must be something that could have been answered before.
      return media
        ? widened(schema, media.schema, `answer ${status}`, documents)
        : [`does not answer ${type} at ${status} any more`];
    });
  });
}

const FLOORS = ['minimum', 'minLength', 'minItems'] as const;
const CEILINGS = ['maximum', 'maxLength', 'maxItems'] as const;

/** What a request could say at this place and cannot any more. */
function narrowed(earlier: Schema, later: Schema, place: string, documents: Documents): string[] {
  const [a, b] = [plain(documents.before, earlier), plain(documents.after, later)];
  const limits = [
    ...FLOORS.filter((name) => Number(b[name] ?? -Infinity) > Number(a[name] ?? -Infinity)),
    ...CEILINGS.filter((name) => Number(b[name] ?? Infinity) < Number(a[name] ?? Infinity)),
    ...['pattern', 'format'].filter((name) => b[name] !== undefined && b[name] !== a[name]),
  ];
  return [
    ...beyond(valuesOf(a), valuesOf(b)).map((value) => `${place}: may not be ${value} any more`),
    ...beyond(typesOf(a), typesOf(b)).map((type) => `${place}: may not be of type ${type} any more`),
    ...limits.map((name) => `${place}: ${name} is ${b[name]} now`),
    ...beyond(requiredOf(b), requiredOf(a)).map((field) => `${place}/${field}: is required now`),
    ...inside(a, b, place, (x, y, at) => narrowed(x, y, at, documents)),
  ];
}

/** What an answer may say at this place that it could not before, or does not say any more. */
function widened(earlier: Schema, later: Schema, place: string, documents: Documents): string[] {
  const [a, b] = [plain(documents.before, earlier), plain(documents.after, later)];
  return [
    ...beyond(valuesOf(b), valuesOf(a)).map((value) => `${place}: may be ${value} now`),
    ...beyond(typesOf(b), typesOf(a)).map((type) => `${place}: may be of type ${type} now`),
    ...beyond(requiredOf(a), requiredOf(b)).map((field) => `${place}/${field}: is not always there any more`),
    ...inside(a, b, place, (x, y, at) => widened(x, y, at, documents)),
  ];
}

function inside(
  a: Schema,
  b: Schema,
  place: string,
  compare: (a: Schema, b: Schema, place: string) => string[],
): string[] {
  const [had, has] = [fieldsOf(a), fieldsOf(b)];
  const fields = Object.entries(had).flatMap(([name, schema]) =>
    has[name] ? compare(schema, has[name], `${place}/${name}`) : [`${place}/${name}: is gone`],
  );
  const items = a['items'] && b['items'] ? compare(a['items'] as Schema, b['items'] as Schema, `${place}[]`) : [];
  return [...fields, ...items];
}

/** References followed, and a union (with null, as a rule) as one schema of several types. */
function plain(document: OpenApi, schema: Schema): Schema {
  const found = resolve(document, schema);
  const members = (found['anyOf'] as Schema[] | undefined)?.map((member) => plain(document, member));
  return members ? Object.assign({}, ...members, { type: members.flatMap((member) => typesOf(member) ?? []) }) : found;
}

/** undefined = anything goes. A number may be an integer. */
function typesOf({ type }: Schema): string[] | undefined {
  if (type === undefined) return undefined;
  return ([type].flat() as string[]).flatMap((name) => (name === 'number' ? ['number', 'integer'] : [name]));
}
const valuesOf = (schema: Schema): unknown[] | undefined =>
  (schema['enum'] as unknown[] | undefined) ?? (schema['const'] === undefined ? undefined : [schema['const']]);
const requiredOf = (schema: Schema): string[] => (schema['required'] as string[] | undefined) ?? [];
const fieldsOf = (schema: Schema): Record<string, Schema> =>
  (schema['properties'] as Record<string, Schema> | undefined) ?? {};

/** What `these` allow and `those` do not. */
function beyond(these: unknown[] | undefined, those: unknown[] | undefined): unknown[] {
  if (those === undefined) return [];
  return these?.filter((entry) => !those.includes(entry)) ?? [`anything but ${those.join(', ')}`];
}
