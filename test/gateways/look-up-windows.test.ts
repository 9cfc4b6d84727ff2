/** Which part of the gateway's list a look-up reads: all of it where a charge of the span can be dated, and little more. */
import { describe, expect, test } from '@jest/globals';
import { windowsOf, withLastMinutes } from '../../gateways/look-up-windows.js';

const MINUTE_MS = 60_000;
const dbNow = new Date('2026-11-28T12:00:00Z');
const span = { from: new Date(dbNow.getTime() - 3 * MINUTE_MS), until: new Date(dbNow.getTime() - 2 * MINUTE_MS) };
const isRead = (at: number, heard: number[]) =>
  windowsOf(span, dbNow, heard).some(({ since, until }) => at >= since.getTime() && at <= until.getTime());

describe('a gateway whose clock is ten minutes off', () => {
  test.each([10, -10])('(%d), and has drifted since the charge: what is dated near the span is read', (minutes) => {
    const offsetMs = minutes * MINUTE_MS;
    const heard = [dbNow.getTime() + offsetMs];
    for (const driftMs of [-50_000, 0, 50_000]) {
      expect(isRead(span.from.getTime() + offsetMs + driftMs, heard)).toBe(true);
      expect(isRead(span.until.getTime() + offsetMs + driftMs, heard)).toBe(true);
    }
  });

  test('does not have an hour of strangers’ charges read', () => {
    const heard = [dbNow.getTime() + 10 * MINUTE_MS];
    const readMs = windowsOf(span, dbNow, heard).reduce((sum, w) => sum + w.until.getTime() - w.since.getTime(), 0);
    expect(readMs).toBeLessThan(20 * MINUTE_MS);
  });
});

test('a gateway whose time was never heard may be four minutes off', () => {
  expect(isRead(span.from.getTime() - 4 * MINUTE_MS, [])).toBe(true);
  expect(isRead(span.until.getTime() + 4 * MINUTE_MS, [])).toBe(true);
});

test('a gateway whose time is ours is believed to a minute', () => {
  const heard = [dbNow.getTime()];
  expect(isRead(span.until.getTime() + 50_000, heard)).toBe(true);
  expect(isRead(span.until.getTime() + 4 * MINUTE_MS, heard)).toBe(false);
});

describe('the last minutes', () => {
  const old = { from: new Date(dbNow.getTime() - 60 * MINUTE_MS), until: new Date(dbNow.getTime() - 50 * MINUTE_MS) };
  const later = new Date(dbNow.getTime() + 10 * MINUTE_MS);

  test('are read besides attempts of long ago, and with one of just now', () => {
    expect(withLastMinutes([old], dbNow, undefined)[0]).toMatchObject({ until: dbNow });
    expect(withLastMinutes([old], dbNow, undefined)[1]).toBe(old);
    const recent = { from: old.from, until: new Date(dbNow.getTime() - MINUTE_MS) };
    expect(withLastMinutes([recent], dbNow, undefined)).toEqual([{ from: old.from, until: dbNow }]);
  });

  test('are gone on with by a look-up that was cut off within them, ten minutes later', () => {
    const [first] = withLastMinutes([old], dbNow, undefined);
    const place = { since: first?.from as Date, after: 'pi_7' };
    expect(withLastMinutes([old], later, place)[0]).toEqual({ from: first?.from, until: later });
  });

  test('are not begun anew by a look-up that had come to the attempts', () => {
    const [first] = withLastMinutes([old], later, { since: old.from, after: 'pi_7' });
    expect(first?.from.getTime()).toBeGreaterThan(old.from.getTime()); // so that it is passed over
  });
});
