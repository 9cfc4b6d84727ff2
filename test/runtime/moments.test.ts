/** Moments that people write are taken as meant, or not at all. */
import { expect, test } from '@jest/globals';
import { parseMoment } from '../../runtime/moments.js';

test.each([
  ['2026-11-21', '2026-11-21T00:00:00.000Z'],
  ['2026-11-21T09:00', '2026-11-21T09:00:00.000Z'],
  ['2026-11-21 09:00:30', '2026-11-21T09:00:30.000Z'],
  ['2026-11-21T09:00+02:00', '2026-11-21T07:00:00.000Z'],
  ['2028-02-29T23:59:59.5Z', '2028-02-29T23:59:59.500Z'],
  ['0000-01-01', '1970-01-01T00:00:00.000Z'],
  ['9999-12-31T23:59-12:00', '9999-12-31T00:00:00.000Z'],
])('%s is %s', (text, iso) => {
  expect(new Date(parseMoment(text)).toISOString()).toBe(iso);
});

test.each([
  '',
  'yesterday',
  '2026-02-30',
  '2026-11-31T09:00',
  '2026-13-01',
  '2026-11-21T25:00',
  '2026-11-21T09:00+24:59',
])('%p is none', (text) => {
  expect(parseMoment(text)).toBeNaN();
});
