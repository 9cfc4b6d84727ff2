/**
 * Failures of activities: message and stack are moved into a payload, where a codec reaches them, before the SDK makes a failure of the
 * error; and read from there again. What a saga's own code or the server fails with stays in clear, for whoever has no keys: these are
 * sentences of ours and of Temporal's.
 */
import {
  CancelledFailure,
  DefaultFailureConverter,
  defaultPayloadConverter,
  ensureApplicationFailure,
  type Payload,
  type PayloadCodec,
  type ProtoFailure,
} from '@temporalio/common';

const concealing = new DefaultFailureConverter({ encodeCommonAttributes: true });

/** @throws what `act` throws, as a failure whose words are in a payload */
export async function concealed<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (err) {
    // Neither is a failure in words: that it was called off, and that somebody else will complete it.
    if (err instanceof CancelledFailure || (err as Error).name === 'CompleteAsyncError') throw err;
    const failure = ensureApplicationFailure(err);
    failure.failure = concealing.errorToFailure(failure, defaultPayloadConverter);
    throw failure;
  }
}

type Failure = { message?: string | null; encodedAttributes?: Payload | null; cause?: Failure | null };

/**
 * @param codecs of the client that has fetched it: the SDK decodes no failure of a description or of a history
 * @returns the same failure with the words that it had; what cannot be read says so
 */
export async function readFailure<F extends ProtoFailure | Failure>(codecs: PayloadCodec[], failure: F): Promise<F> {
  const { encodedAttributes, cause } = failure as Failure;
  const said = encodedAttributes ? await wordsOf(codecs, encodedAttributes) : {};
  return { ...failure, ...said, ...(cause && { cause: await readFailure(codecs, cause) }) };
}

async function wordsOf(codecs: PayloadCodec[], encoded: Payload): Promise<{ message?: string; stackTrace?: string }> {
  let payloads = [encoded];
  try {
    for (const codec of codecs.toReversed()) payloads = await codec.decode(payloads);
    const [payload] = payloads;
    const words = payload && defaultPayloadConverter.fromPayload<{ message?: unknown; stack_trace?: unknown }>(payload);
    const { message, stack_trace: stackTrace } = words ?? {};
    return {
      ...(typeof message === 'string' && { message }),
      ...(typeof stackTrace === 'string' && { stackTrace }),
    };
  } catch {
    return { message: 'This failure is encrypted, and its key cannot be had here' };
  }
}
