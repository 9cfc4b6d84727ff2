/** Whether what the system has really written is what its contract with consumers says: no less, and nothing besides. */
import { Ajv } from 'ajv';
import { ENVELOPE_SCHEMA, EVENT_SCHEMAS, type EventType } from '../../contracts/event-schemas.js';
import { type StoredEvent, toCloudEvent } from '../../contracts/events.js';
import type { Database } from '../../domain/database.js';
import { createEventValidator } from '../../relay/event-validator.js';

/** As the published schemas, but closed: a field without documentation is a promise that was never made. */
const ajv = new Ajv({ allowUnionTypes: true, formats: { uuid: true, 'date-time': true } });
const strict = new Map(
  Object.entries(EVENT_SCHEMAS).map(([type, schema]) => [
    type,
    ajv.compile({ ...closed(schema), $id: `${type}-closed` }),
  ]),
);
const strictEnvelope = ajv.compile({ ...ENVELOPE_SCHEMA, $id: 'envelope-closed', additionalProperties: false });
const validate = createEventValidator();

function closed<T>(schema: T): T {
  if (Array.isArray(schema)) return schema as T;
  if (schema === null || typeof schema !== 'object') return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return (copy['properties'] ? { ...copy, additionalProperties: false } : copy) as T;
}

/** @returns which types were looked at, and a sentence per event that breaks its contract */
export async function checkContracts(db: Database): Promise<{ types: EventType[]; breaches: string[] }> {
  const rows = await db.event.findMany();
  const events = rows.map((row) => toCloudEvent({ ...row, type: row.type } as StoredEvent));
  const breaches = events.flatMap((event) => {
    const says = (errors: unknown) => [`${event.type} ${JSON.stringify(event.data)}: ${JSON.stringify(errors)}`];
    const complaint = validate(event);
    if (complaint !== undefined) return says(complaint);
    if (!strictEnvelope(event)) return says(strictEnvelope.errors);
    const data = strict.get(event.type);
    return data?.(event.data) ? [] : says(data?.errors);
  });
  return { types: [...new Set(events.map(({ type }) => type))].sort(), breaches };
}
