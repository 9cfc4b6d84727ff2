/**
 * Says whether an event is what its contract promises. Consumers rely on the schemas; an event that breaks one is a bug of
 * ours, to be stopped before it leaves. Lives here, not in contracts/: the workflow bundle must not contain a schema library.
 */
import { Ajv, type ErrorObject } from 'ajv';
import { ENVELOPE_SCHEMA, EVENT_SCHEMAS } from '../contracts/event-schemas.js';
import type { CloudEvent } from '../contracts/events.js';

const FORMATS = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/,
};

/**
 * Compiles every schema once; an event then takes microseconds.
 * @returns what is wrong with an event, in one sentence without any of its values, or undefined if nothing is
 */
export function createEventValidator(): (event: CloudEvent) => string | undefined {
  const ajv = new Ajv({ allowUnionTypes: true, formats: FORMATS });
  const envelope = ajv.compile(ENVELOPE_SCHEMA);
  const dataSchemas = new Map(
    Object.values(EVENT_SCHEMAS).map((schema) => [schema.$id as string, ajv.compile(schema)]),
  );
  return (event) => {
    if (!envelope(event)) return `the envelope${sentence(envelope.errors)}`;
    const data = dataSchemas.get(event.dataschema);
    if (!data || !event.dataschema.startsWith(`urn:order-saga:schema:${event.type}:`)) {
      return `the envelope's dataschema is not one of ${event.type}`;
    }
    return data(event.data) ? undefined : `the data of ${event.type}${sentence(data.errors)}`;
  };
}

const sentence = (errors: ErrorObject[] | null | undefined): string =>
  (errors ?? []).map(({ instancePath, message }) => `${instancePath.replaceAll('/', '.')} ${message}`).join('; ');
