/** The first screen: what is wrong now, and how much of it. */
import { Page } from '../lib/ui.js';
import { html } from '../vendor/preact.js';

function Overview() {
  return html`<${Page} title="What is wrong now"><p>…</p><//>`;
}

/** @type {import('../lib/router.js').View} */
export const overview = { path: '/', title: 'Now', nav: { label: 'Now', order: 10 }, View: Overview };
