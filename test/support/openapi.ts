/** The OpenAPI document as a check: whether an answer is one that it promises for the operation. */
import { Ajv, type ValidateFunction } from 'ajv';

export type Schema = { [keyword: string]: unknown };
export type Parameter = {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  schema: Schema;
  example?: unknown;
};
type Media = Record<string, { schema: Schema; examples?: Record<string, { $ref: string }> }>;
type Documented = {
  operationId: string;
  summary: string;
  tags: string[];
  security: { bearer?: string[] }[];
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Media };
  responses: Record<string, { description: string; headers?: Record<string, unknown>; content?: Media }>;
};
export type OpenApi = {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Documented>>;
  components: { schemas: Record<string, Schema>; examples: Record<string, { value: { status: number } }> };
};
export type Operation = Documented & { method: string; path: string };
type Answered = { status: number; headers: Headers; body: unknown };

export const operationsOf = ({ paths }: OpenApi): Operation[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, path, method: method.toUpperCase() })),
  );

/** Follows a reference within the document. */
export function resolve({ components }: OpenApi, schema: Schema): Schema {
  const name = /^#\/components\/schemas\/(.+)$/.exec(String(schema['$ref'] ?? ''))?.[1];
  return name === undefined ? schema : (components.schemas[name] as Schema);
}

const FORMATS = { uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'date-time': /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ };

/** @returns a function that says what is wrong with an answer to the operation, or undefined */
export function createConformanceCheck(
  document: OpenApi,
): (operation: Operation, answer: Answered) => string | undefined {
  const validatorOf = createValidators(closed(document) as OpenApi);
  return (operation, { status, headers, body }) => {
    const promised = operation.responses[status];
    if (!promised) return `status ${status} is not documented`;
    const [type = ''] = (headers.get('content-type') ?? '').split(';');
    const media = promised.content?.[type];
    if (!media) return `status ${status} is not documented as ${type || 'an answer without a type'}`;
    for (const name of ['location', 'www-authenticate', 'x-correlation-id'])
      if (promised.headers?.[name] && !headers.has(name)) return `the header ${name} is missing`;
    const code = (body as { code?: string } | undefined)?.code;
    if (media.examples && !(code !== undefined && code in media.examples))
      return `the problem ${code} is not documented at ${status}`;
    const validate = validatorOf(media.schema);
    if (type !== 'text/event-stream' && !validate(body)) return JSON.stringify(validate.errors);
    return undefined;
  };
}

/** Whether a request's part is one that the document takes. */
export function createValidators(document: OpenApi): (schema: Schema) => ValidateFunction {
  const ajv = new Ajv({ strict: false, formats: FORMATS });
  ajv.addSchema({ $id: 'doc', components: document.components });
  const compiled = new Map<string, ValidateFunction>();
  return (schema) => {
    const text = JSON.stringify(closed(schema)).replaceAll('"#/components', '"doc#/components');
    const validate = compiled.get(text) ?? ajv.compile(JSON.parse(text));
    compiled.set(text, validate);
    return validate;
  };
}

/** The schema, taking no fields but those that it names: an answer has none that the document does not know. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return copy['type'] === 'object' && copy['properties'] ? { additionalProperties: false, ...copy } : copy;
}
