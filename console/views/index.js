/**
 * The one list of views. To add one: write `views/<name>.js` that exports `view` (its path behind `#`, the tab's title, its place in the
 * navigation, and the component that draws it), and put it here; what is seldom opened stands in later/ and is loaded then. docs/console.md says what a view is made of.
 */
import { later } from '../lib/later.js';
import { about } from './about.js';
import { brakes } from './brakes.js';
import { deadLetters } from './dead-letters.js';
import { findings } from './findings.js';
import { operation } from './operation.js';
import { operations } from './operations.js';
import { order } from './order.js';
import { overview } from './overview.js';
import { sagas } from './sagas.js';
import { search } from './search.js';

const LOOKS = /** @type {const} */ (['operator', 'auditor']);
const oneErasure = later('Erasure', () => import('../later/erasures.js').then((file) => file.OneErasure));
const runbook = later('Runbook', () => import('../later/runbook.js').then((file) => file.Runbook));

/** Those that are loaded when they are opened. @type {readonly import('../lib/router.js').View[]} */
const SELDOM = [
  {
    path: '/stock',
    title: 'Stock',
    nav: { label: 'Stock', order: 55 },
    View: later('Stock', () => import('../later/stock.js').then((file) => file.Stock)),
  },
  {
    path: '/destinations',
    title: 'Destinations',
    nav: { label: 'Destinations', order: 60, roles: LOOKS },
    View: later('Destinations', () => import('../later/destinations.js').then((file) => file.Destinations)),
  },
  {
    path: '/erasures',
    title: 'Erasures',
    nav: { label: 'Erasures', order: 65, roles: LOOKS },
    View: later('Erasures', () => import('../later/erasures.js').then((file) => file.Erasures)),
  },
  { path: '/erasures/:id', title: 'Erasure', View: oneErasure },
  {
    path: '/audit',
    title: 'Audit trail',
    nav: { label: 'Audit', order: 70, roles: LOOKS },
    View: later('Audit trail', () => import('../later/audit.js').then((file) => file.Audit)),
  },
  { path: '/runbook', title: 'Runbook', nav: { label: 'Runbook', order: 75 }, View: runbook },
  { path: '/runbook/:section', title: 'Runbook', View: runbook },
];

/** @type {readonly import('../lib/router.js').View[]} */
export const views = [
  overview,
  search,
  sagas,
  order,
  operations,
  operation,
  brakes,
  deadLetters,
  findings,
  ...SELDOM,
  about,
];
