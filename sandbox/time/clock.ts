/**
 * Clock: the sandbox's own time, by which it dates its records and answers, forgets keys and lets refunds fail. It can be set
 * against the machine's: `POST /sandbox/clock {"aheadMs": 90000000}`; negative = behind. What has been recorded is never
 * undone by it: time does not run backwards. Forgotten at a restart.
 */
import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';

/** A hundred years: whatever is further away is a mistake in the unit. */
export const AHEAD_MAX_MS = 100 * 365 * 24 * 3_600_000;

const Body = Type.Object(
  { aheadMs: Type.Integer({ minimum: -AHEAD_MAX_MS, maximum: AHEAD_MAX_MS }) },
  { additionalProperties: false },
);

export interface Clock {
  now(): number;
  aheadMs: number;
}

export function createClock(machine: () => number): Clock {
  const clock: Clock = { aheadMs: 0, now: () => machine() + clock.aheadMs };
  return clock;
}

export function clockRoutes(app: FastifyInstance, { clock, now }: { clock: Clock; now: () => number }): void {
  const shown = () => ({ aheadMs: clock.aheadMs, now: new Date(now()).toISOString() });
  app.get('/sandbox/clock', shown);
  app.post<{ Body: Static<typeof Body> }>('/sandbox/clock', { schema: { body: Body } }, ({ body }) => {
    clock.aheadMs = body.aheadMs;
    return shown();
  });
}
