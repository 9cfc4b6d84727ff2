/** What is decided about an order in other views as well, its dead letters and its findings: where they are listed, and the act itself. */
import { get } from '../../lib/api.js';
import { withQuery } from '../../lib/lists.js';
import { hrefOf } from '../../lib/router.js';
import { Notice } from '../../lib/ui.js';
import { html } from '../../vendor/preact.js';
import { discard, replay } from '../dead-letter-acts.js';
import { close, refund } from '../finding-acts.js';

/** @typedef {{ href: string, list: string, name: string, run: () => Promise<unknown> }} Elsewhere `run` = asks and acts; what came of it, undefined = it was given up */

const COMMAND = /^ops (?:dead-letters (replay|discard)|reconcile --(close|refund)) (\d+)(?: --as (\w+))?/;
const GONE = html`<${Notice}>It has been decided meanwhile.<//>`;

/**
 * @param {string} command as the explanation has it
 * @param {string} orderId
 * @returns {Elsewhere | undefined} undefined = only `ops` does it
 */
export function elsewhereOf(command, orderId) {
  const [, ofLetter, ofFinding, id = '', as = 'cancelled'] = COMMAND.exec(command) ?? [];
  const name = [ofLetter ?? ofFinding, ofLetter ? 'letter' : 'finding', id].join(' ');
  const read = (/** @type {string} */ path, /** @type {string} */ rows) =>
    get(withQuery(path, { orderId })).then((answer) =>
      answer[rows].find((/** @type {{ id: string }} */ each) => each.id === id),
    );
  if (ofLetter)
    return {
      ...{ href: hrefOf('/dead-letters', { orderId }), list: 'Dead letters', name: capital(name) },
      run: async () => {
        const letter = await read('admin/dead-letters', 'deadLetters');
        return letter ? (ofLetter === 'replay' ? replay : discard)([letter]) : GONE;
      },
    };
  if (ofFinding)
    return {
      ...{
        href: hrefOf('/findings', { orderId }),
        list: 'Findings',
        name: ofFinding === 'refund' ? `Give back the charge of finding ${id}` : `${capital(name)} as ${as}`,
      },
      run: async () => {
        const finding = await read('admin/findings', 'findings');
        if (!finding) return GONE;
        const now = await (ofFinding === 'refund' ? refund(finding) : close(finding, as));
        return now && html`<${Notice} kind="good">Finding ${id}: ${now.action}.<//>`;
      },
    };
  return undefined;
}

/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
