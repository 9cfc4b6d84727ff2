/** Refunds that have failed as often as machines make them (domain/refunds): one more is made for each retry of an operator, and for nothing else. */
const FAILURE = 'RefundFailed';

/** Said of the undo where it waits, whatever has become of the cause: what it does every minute is to look. */
export const LOOKS_ONLY =
  'looks every minute whether the money has gone back by other ways; no further refund is made until you `retry`';

export const isGivenUp = (failure: string | null | undefined): boolean => failure === FAILURE;
