/**
 * Failures of activities: message and stack are moved into a payload, where a codec reaches them, before the SDK makes a failure of the
 * error (reading.ts reads them again). What a saga's own code or the server fails with stays in clear, for whoever has no keys: these are
 * sentences of ours and of Temporal's.
 */
import {
  CancelledFailure,
  DefaultFailureConverter,
  defaultPayloadConverter,
  ensureApplicationFailure,
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
