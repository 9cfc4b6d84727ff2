/**
 * Reading what the SDK hands on as the server has it: payloads of a fetched history, failures of a description. With a client that has no
 * codec they are in clear already, and are returned as they are.
 */
import type { Client, WorkflowClientInterceptor } from '@temporalio/client';
import { type DataConverter, defaultPayloadConverter, type Payload, type PayloadCodec } from '@temporalio/common';

export const codecsOf = (client: Client): PayloadCodec[] => client.options.loadedDataConverter.payloadCodecs;

/** @returns the value; undefined for no payload. @throws if its key cannot be had */
export async function readPayload(codecs: PayloadCodec[], payload: Payload | null | undefined): Promise<unknown> {
  if (!payload) return undefined;
  let payloads = [payload];
  for (const codec of codecs.toReversed()) payloads = await codec.decode(payloads);
  const [plain] = payloads;
  return plain && defaultPayloadConverter.fromPayload(plain);
}

type Failure = {
  message?: string | null;
  encodedAttributes?: Payload | null;
  cause?: Failure | null | undefined;
};

/** @returns the same failure with the words that it had; where they cannot be had it says so */
export async function readFailure<F extends Failure>(codecs: PayloadCodec[], failure: F): Promise<F> {
  const { encodedAttributes, cause } = failure;
  const said = encodedAttributes ? await wordsOf(codecs, encodedAttributes) : {};
  return { ...failure, ...said, ...(cause && { cause: await readFailure(codecs, cause) }) };
}

async function wordsOf(codecs: PayloadCodec[], encoded: Payload): Promise<{ message?: string }> {
  try {
    const { message } = (await readPayload(codecs, encoded)) as { message?: unknown };
    return typeof message === 'string' ? { message } : {};
  } catch {
    return { message: 'this failure is encrypted, and its key cannot be had here' };
  }
}

/** Whoever asks for a description finds in it why activities have failed, as the server has heard it. */
export const describing = (codecs: PayloadCodec[]): WorkflowClientInterceptor => ({
  describe: async (input, next) => {
    const description = await next(input);
    for (const activity of description.pendingActivities ?? [])
      if (activity.lastFailure) activity.lastFailure = await readFailure(codecs, activity.lastFailure);
    return description;
  },
});

/** For replays, which write nothing, and give a history another name than its workflow had. */
export const replaying = (codecs: PayloadCodec[]): DataConverter => ({
  payloadCodecs: codecs.map((codec) => ({
    encode: async (payloads) => payloads,
    decode: (payloads) => codec.decode(payloads),
  })),
});
