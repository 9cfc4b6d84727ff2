/**
 * The one list of views. To add one: write `views/<name>.js` that exports `view` (its path behind `#`, the tab's title, its place in the
 * navigation, and the component that draws it), and put it here. docs/console.md says what a view is made of.
 */
import { about } from './about.js';
import { order } from './order.js';
import { overview } from './overview.js';

/** @type {readonly import('../lib/router.js').View[]} */
export const views = [overview, order, about];
