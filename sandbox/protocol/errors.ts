/**
 * Errors: refusals and failures in the provider's own shape, `{error: {type, code, message, …}}`, from which the official
 * client makes its error classes. The message texts follow the provider's where they are known.
 */

export interface ErrorBody {
  type: 'api_error' | 'card_error' | 'idempotency_error' | 'invalid_request_error';
  message: string;
  code?: string;
  param?: string;
  decline_code?: string;
  charge?: string;
}

export class ProviderError extends Error {
  override name = 'ProviderError';
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(body.message);
  }
}

export function invalid(message: string, detail: { code?: string; param?: string } = {}): ProviderError {
  return new ProviderError(400, { type: 'invalid_request_error', message, ...detail });
}

/** @param param where the id came from; a resource named by the URL has the parameter `id` or `intent` at the provider */
export function noSuch(noun: string, id: string, param: string, status: 400 | 404 = 404): ProviderError {
  const message = `No such ${noun}: '${id}'`;
  return new ProviderError(status, { type: 'invalid_request_error', code: 'resource_missing', message, param });
}

export function unauthorized(message: string): ProviderError {
  return new ProviderError(401, { type: 'invalid_request_error', message });
}

const waitFor = (retryAfter: string | undefined) => (retryAfter === undefined ? {} : { 'retry-after': retryAfter });

export function unavailable(retryAfter: string | undefined): ProviderError {
  const message = 'The sandbox plays an outage: nothing was recorded. Please try again.';
  return new ProviderError(503, { type: 'api_error', message }, waitFor(retryAfter));
}

export function tooBusy(retryAfter: string | undefined): ProviderError {
  const message = 'Request rate limit exceeded: nothing was recorded. Please try again later.';
  return new ProviderError(429, { type: 'invalid_request_error', code: 'rate_limit', message }, waitFor(retryAfter));
}

/** Says nothing about whether money moved, exactly as the provider's 500 does. */
export const INTERNAL: ErrorBody = {
  type: 'api_error',
  message: 'An unknown error occurred. The request may or may not have taken effect.',
};
