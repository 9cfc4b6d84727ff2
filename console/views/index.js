/**
 * The one list of views. To add one: write `views/<name>.js` that exports `view` (its path behind `#`, the tab's title, its place in the
 * navigation, and the component that draws it), and put it here. docs/console.md says what a view is made of.
 */
import { about } from './about.js';
import { audit } from './audit.js';
import { brakes } from './brakes.js';
import { deadLetters } from './dead-letters.js';
import { destinations } from './destinations.js';
import { erasures, oneErasure } from './erasures.js';
import { findings } from './findings.js';
import { operation } from './operation.js';
import { operations } from './operations.js';
import { order } from './order.js';
import { overview } from './overview.js';
import { sagas } from './sagas.js';
import { search } from './search.js';
import { stock } from './stock.js';

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
  stock,
  destinations,
  erasures,
  oneErasure,
  audit,
  about,
];
