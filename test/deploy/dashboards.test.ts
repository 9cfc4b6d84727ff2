/** The dashboards as files; what their queries answer is test/system/dashboards.test.ts' to say. */
import { expect, test } from '@jest/globals';
import { readRules } from './alarms/promtool.js';
import { dashboards, panels } from './dashboards.js';

test('there is one for the business, one for operators and one for each role, each to be found by its uid', () => {
  expect(
    dashboards()
      .map(({ uid }) => uid)
      .sort(),
  ).toEqual(['api', 'business', 'operators', 'relay', 'worker'].map((name) => `order-saga-${name}`));
});

test('each panel has a number of its own, a title of its own and a query', () => {
  for (const { uid, panels: its } of dashboards()) {
    expect([uid, new Set(its.map(({ id }) => id)).size]).toEqual([uid, its.length]);
    expect([uid, new Set(its.map(({ title }) => title)).size]).toEqual([uid, its.length]);
    for (const { targets } of its) expect(targets.length).toBeGreaterThan(0);
  }
});

test('each alarm leads to a panel', () => {
  const places = panels().map(({ dashboard, id }) => `/d/${dashboard}?viewPanel=${id}`);
  const rules = readRules();
  expect(rules.length).toBeGreaterThan(30);
  expect(rules.filter(({ dashboard }) => !places.includes(dashboard))).toEqual([]);
});
