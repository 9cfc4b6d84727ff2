/** Fault modes: in how many ways the sandbox misbehaves, and to which requests each of them can happen. */

/** What a request is, as seen by a fault: one POST is one of these, a GET is `lookup` and the others that fit. */
export const ROUTES = ['charge', 'refund', 'lookup', 'all', 'list', 'search', 'page', 'retrieve', 'customer'] as const;
export type Route = Exclude<(typeof ROUTES)[number], 'all'> | 'webhook' | 'other';

interface ModeSpec {
  says: string;
  /** Absent: to any request. */
  on?: readonly Route[];
}

const LISTS = ['list', 'search'] as const;
const REFUND = ['refund'] as const;
const WEBHOOK = ['webhook'] as const;

export const MODES = {
  down: { says: '503, nothing recorded, the key stays free; with retryAfter as its Retry-After' },
  busy: { says: '429, nothing recorded, the key stays free; with retryAfter as its Retry-After' },
  reset: { says: 'the connection is cut, nothing recorded' },
  hang: { says: 'silence for delayMs, then the connection is cut; nothing recorded' },
  slow: { says: 'works for delayMs, then as usual; the same key meanwhile gets 409' },
  error: { says: '500 without any effect, stored: the same key gets it again' },
  error_after: { says: 'takes effect, then 500, stored: the same key gets it again' },
  hang_after: { says: 'takes effect, then answers after delayMs; the same key again is answered at once' },
  reset_after: { says: 'takes effect, then the connection is cut' },
  wrong_echo: {
    says: 'charges and what is looked up name the given amount or currency instead of the true one',
    on: ['charge', 'lookup'],
  },
  wrong_date: {
    says: 'answers carry the Date header `date`, or one that is aheadMs off (negative = behind); `created` stays true',
  },
  repeat_page: { says: 'a list shows its first page whatever is asked for, and says has_more', on: LISTS },
  empty_page: { says: 'a list shows nothing, and says has_more', on: LISTS },
  refund_pending: { says: 'new refunds are pending: until an intervention, or for delayMs', on: REFUND },
  refund_requires_action: { says: 'new refunds wait for their customer, until an intervention', on: REFUND },
  refund_failed: { says: 'new refunds have failed at once: 200 and status failed', on: REFUND },
  refund_fails_later: { says: 'new refunds succeed, and fail after delayMs', on: REFUND },
  webhook_lost: { says: 'an event is never sent', on: WEBHOOK },
  webhook_repeated: { says: 'an event is sent twice although it was taken', on: WEBHOOK },
  webhook_late: { says: 'an event is sent only after delayMs', on: WEBHOOK },
  webhook_out_of_order: { says: 'an event is sent behind the next one, or after delayMs if none comes', on: WEBHOOK },
} as const satisfies Record<string, ModeSpec>;

export type Mode = keyof typeof MODES;
const specOf = (mode: Mode): ModeSpec => MODES[mode];

/** A fault strikes what its mode can happen to, narrowed by the route that it was set for. */
export function strikes(mode: Mode, route: (typeof ROUTES)[number], target: readonly Route[]): boolean {
  const { on } = specOf(mode);
  // A fault of a mode that does not name webhooks is about requests.
  if (target.includes('webhook') && !on?.includes('webhook')) return false;
  return (on === undefined || on.some((one) => target.includes(one))) && (route === 'all' || target.includes(route));
}

/** @returns whether there is any request that such a fault could strike */
export function canStrike(mode: Mode, route: (typeof ROUTES)[number]): boolean {
  const { on } = specOf(mode);
  return TARGETS.some((target) => strikes(mode, route, target)) || on === undefined;
}

const TARGETS: readonly (readonly Route[])[] = [
  ['charge'],
  ['refund'],
  ['lookup', 'list', 'page'],
  ['lookup', 'search'],
  ['lookup', 'retrieve'],
  ['customer'],
  ['webhook'],
];
