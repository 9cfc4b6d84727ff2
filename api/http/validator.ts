/**
 * Validation of requests: every field that is wrong is reported at once, so that a client can be corrected in one go, but no
 * more of them than a person reads. What a request can cost here is bounded by that, not by its 64 KiB: a valid one is looked
 * at once; of one that is not, all errors are looked for only in as much of it as there can be to report on.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import fastJsonStringify, { type Schema as FastJsonSchema } from 'fast-json-stringify';
import type { Api } from '../dependencies.js';
import { addPersonalDataKeyword } from './personal-texts.js';
import { ERRORS_MAX } from './problems.js';

/** As Postgres reads it: what is asked of it by an id is to be one. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Bodies are taken as they are: no coercion, no field dropped in silence. Query strings are text, so they are read as such.
 * What reads or writes a schema's values is made when the first of them comes: for all routes together it takes as long as the rest of
 * a process's start, and most processes are asked a few of them.
 */
export function validateStrictly(app: Api): void {
  const base = { removeAdditional: false, strict: false, formats: { uuid: UUID, 'date-time': true } } as const;
  const compilerOf = (more: object) => {
    const first = addPersonalDataKeyword(new Ajv({ ...base, ...more, allErrors: false }));
    const all = addPersonalDataKeyword(new Ajv({ ...base, ...more, allErrors: true }));
    return (schema: Schema) =>
      reportingEachFieldOnce(
        schema,
        () => first.compile(schema),
        () => all.compile(schema),
      );
  };
  const strict = compilerOf({ coerceTypes: false, useDefaults: false });
  const lenient = compilerOf({ coerceTypes: true, useDefaults: true });
  app.setValidatorCompiler(({ schema, httpPart }) => (httpPart === 'body' ? strict : lenient)(schema as Schema));
  app.setSerializerCompiler(({ schema }) => {
    let write: ((answer: unknown) => string) | undefined;
    return (answer) => {
      write ??= fastJsonStringify(schema as FastJsonSchema);
      return write(answer);
    };
  });
}

type Validator = { (data: unknown): boolean; errors?: ErrorObject[] | null };
type Schema = {
  properties?: Record<string, Schema>;
  additionalProperties?: unknown;
  items?: Schema;
  maxItems?: number;
};

/** @param compileAll that finds every error; most schemas never need it */
function reportingEachFieldOnce(
  schema: Schema,
  compileFirst: () => ValidateFunction,
  compileAll: () => ValidateFunction,
): Validator {
  let first: ValidateFunction | undefined;
  let all: ValidateFunction | undefined;
  const validator: Validator = (data) => {
    validator.errors = null;
    first ??= compileFirst();
    if (first(data)) return true;
    all ??= compileAll();
    all(shorten(data, schema, { unknownFields: ERRORS_MAX + 1 }));
    validator.errors = selectReported(all.errors ?? first.errors ?? []);
    return false;
  };
  return validator;
}

/**
 * A copy without what could only add to the count of errors: unknown fields beyond the first few, and list entries beyond one
 * too many. It is wrong in the same way, and no larger than a schema's largest right value, about.
 */
function shorten(data: unknown, schema: Schema, left: { unknownFields: number }): unknown {
  if (Array.isArray(data)) {
    const { items, maxItems } = schema;
    const entries = maxItems === undefined ? data : data.slice(0, maxItems + 1);
    return items ? entries.map((entry) => shorten(entry, items, left)) : entries;
  }
  const { properties, additionalProperties } = schema;
  if (typeof data !== 'object' || data === null || !properties || additionalProperties !== false) return data;
  const fields = data as Record<string, unknown>;
  const kept = Object.entries(properties).flatMap(([name, property]): [string, unknown][] =>
    Object.hasOwn(fields, name) ? [[name, shorten(fields[name], property, left)]] : [],
  );
  for (const name in fields) {
    if (Object.hasOwn(properties, name)) continue;
    if (left.unknownFields-- <= 0) break;
    kept.push([name, null]);
  }
  return Object.fromEntries(kept); // defines __proto__ as the field that it was sent as
}

/** One more than is reported, so that the error handler sees that there are more. */
function selectReported(errors: ErrorObject[]): ErrorObject[] {
  const reported = new Map<string, ErrorObject>();
  // Unknown fields come last: they must not crowd out those that are missing or wrong.
  for (const isUnknown of [false, true]) {
    for (const error of errors) {
      if ((error.keyword === 'additionalProperties') !== isUnknown) continue;
      const { additionalProperty, missingProperty } = error.params;
      const field = JSON.stringify([error.instancePath, additionalProperty ?? missingProperty]);
      if (!reported.has(field)) reported.set(field, error);
      if (reported.size > ERRORS_MAX) return [...reported.values()];
    }
  }
  return [...reported.values()];
}
