/**
 * The codec server: for the Web UI and the `temporal` command, which have no keys, the payloads of sagas decoded, and what they send
 * encoded. As every codec server speaks: https://docs.temporal.io/production-deployment/data-encryption
 */
import type { Payload } from '@temporalio/common';
import { type Static, Type } from 'typebox';
import { envelopeOf } from '../../sagas/payloads/format.js';
import { PayloadKeyUnavailable } from '../../sagas/payloads/payload-keys.js';
import type { Api, ApiDependencies, CodecServer } from '../dependencies.js';
import { Problem, ProblemSchema } from '../http/problems.js';

/** A whole event at a time: a saga's payloads have some hundred bytes each. */
const BODY_BYTES_MAX = 512 * 1024;
const PAYLOADS_MAX = 500;
const METADATA_MAX = 20;

const Base64 = (description: string) => Type.String({ pattern: '^[A-Za-z0-9+/_-]*={0,2}$', description });
const PayloadSchema = Type.Object(
  {
    metadata: Type.Optional(
      Type.Record(Type.String({ maxLength: 128 }), Base64('Of each, as base64'), { maxProperties: METADATA_MAX }),
    ),
    data: Type.Optional(Base64('As base64')),
  },
  { $id: 'Payload', additionalProperties: false, description: 'temporal.api.common.v1.Payload, as JSON' },
);
const Payloads = Type.Object(
  { payloads: Type.Array(PayloadSchema, { maxItems: PAYLOADS_MAX }) },
  {
    $id: 'Payloads',
    additionalProperties: false,
    examples: [{ payloads: [{ metadata: { encoding: 'anNvbi9wbGFpbg==' }, data: 'Int9Ig==' }] }],
  },
);
type Body = Static<typeof Payloads>;

export function payloadRoutes(app: Api, { codec = CLEAR }: ApiDependencies): void {
  const schema = {
    tags: ['codec'],
    body: Payloads,
    response: { 200: Payloads, '4xx': ProblemSchema },
  };
  app.post(
    '/codec/decode',
    {
      bodyLimit: BODY_BYTES_MAX,
      schema: {
        ...schema,
        summary: 'Payloads of sagas, decoded: the codec server of the Web UI and the `temporal` command',
        description:
          'Each by itself; one that is not encrypted, or not by this installation, comes back as it is. A text whose customer is ' +
          'erased reads `[erased]`. On record as a read, with the order if it is one.',
      },
    },
    async (request) => {
      const payloads = toPayloads(request.body);
      request.auditedAs = workflowOf(payloads);
      return { payloads: await Promise.all(payloads.map((payload) => decode(codec, payload))) };
    },
  );
  app.post(
    '/codec/encode',
    {
      bodyLimit: BODY_BYTES_MAX,
      schema: {
        ...schema,
        summary: 'Payloads for a saga, encoded: for signals and updates of the `temporal` command',
        description:
          'For which saga is not known here, so that texts in them are protected by the installation’s key alone: they are erased with ' +
          'the history, not with their customer.',
      },
    },
    async ({ body }) => ({ payloads: (await answering(codec.encode(toPayloads(body)))).map(toJson) }),
  );
}

/** With PAYLOAD_CODEC=off all is in clear, and stays so. */
const CLEAR: CodecServer = { encode: async (payloads) => payloads, decode: async (payloads) => payloads };

/** What cannot be decoded because it is another's, or was changed, is shown as it is; what cannot be decoded now is no answer. */
async function decode(codec: CodecServer, payload: Payload) {
  const decoded = codec.decode([payload]).catch((err: unknown) => {
    if (err instanceof PayloadKeyUnavailable) throw err;
    return [payload];
  });
  const [plain = payload] = await answering(decoded);
  return toJson(plain);
}

async function answering<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (err) {
    if (err instanceof PayloadKeyUnavailable)
      throw new Problem('unavailable', 'The payload key cannot be had now.', {}, { retryAfterS: 5 });
    throw err;
  }
}

/** @returns the workflow that they belong to, if they belong to one */
function workflowOf(payloads: Payload[]): string | null {
  const workflows = new Set(payloads.map(workflowIn).filter((workflow) => workflow !== ''));
  const [workflow] = workflows;
  return workflows.size === 1 && workflow !== undefined && /^[A-Za-z0-9-]{1,80}$/.test(workflow) ? workflow : null;
}
function workflowIn(payload: Payload): string {
  try {
    return envelopeOf(payload)?.workflow ?? '';
  } catch {
    return '';
  }
}

const toPayloads = ({ payloads }: Body): Payload[] =>
  payloads.map(({ metadata = {}, data }) => ({
    metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, bytesOf(value)])),
    ...(data !== undefined && { data: bytesOf(data) }),
  }));

const toJson = ({ metadata, data }: Payload) => ({
  metadata: Object.fromEntries(
    Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
  ),
  ...(data && { data: Buffer.from(data).toString('base64') }),
});

/** A copy of its own: small buffers share a pool. */
const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));
