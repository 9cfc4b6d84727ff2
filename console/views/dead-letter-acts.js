/** What operators decide of events that a destination does not take: one or many are sent again, or never. */
import { post } from '../lib/api.js';
import { confirmAct } from '../lib/confirm.js';
import { count, number, plural } from '../lib/format.js';
import { createMany, Outcomes } from '../lib/many.js';
import { html } from '../vendor/preact.js';

/** @typedef {import('./dead-letters.js').Letter} Letter */

/** @param {readonly Letter[]} letters @returns {Promise<unknown>} what came of it; undefined = it was given up */
export async function replay(letters) {
  const n = letters.length;
  const ids = letters.map(({ id }) => id);
  const answer = await confirmAct({
    ...{ title: `Send ${count(n, 'event')} again`, act: `Replay ${count(n, 'letter')}`, count: n, noun: 'letter' },
    children: html`<p>Each is sent once more, then those that wait behind it: ${number(letters.reduce((sum, { behind }) => sum + behind, 0))} so far. At most ten a second. What is rejected again waits again.</p>`,
    reason: { required: false },
    run: ({ reason }) =>
      post('admin/dead-letters/replay', { body: { ids, limit: n, ...(reason !== '' && { reason }) } }),
  });
  return answer && html`<${Results} results=${answer.results} />`;
}

/** @type {Record<string, [import('../lib/ui.js').Kind, string]>} */
const CAME_TO = {
  delivered: ['good', 'delivered'],
  'parked-again': ['bad', 'rejected again'],
  'under-way': ['busy', 'under way'],
  'not-tried': ['off', 'not tried'],
};

/** @param {{ results: { id: string, outcome: string, error: string | null }[] }} props */
function Results({ results }) {
  const of = results.map(({ id, outcome, error }) => {
    const [kind, word] = CAME_TO[outcome] ?? ['info', outcome];
    return { id, kind, word, says: error };
  });
  return html`<${Outcomes} of=${of} noun="letter" />`;
}

/** @param {readonly Letter[]} letters @returns {Promise<unknown>} */
export async function discard(letters) {
  const n = letters.length;
  const behind = letters.reduce((sum, letter) => sum + letter.behind, 0);
  const many = createMany(letters, { word: 'discarded', noun: 'letter' }, async ({ id }, reason) => {
    const now = await post(`admin/dead-letters/${id}/discard`, { body: { reason } });
    // Somebody was faster: it is as it is wanted, and on their word.
    return now.reason === reason
      ? undefined
      : { kind: 'off', word: 'already discarded', says: `by ${now.decidedBy}: ${now.reason}` };
  });
  return confirmAct({
    ...{
      title: `Never send ${count(n, 'event')}`,
      act: `Discard ${count(n, 'letter')}`,
      count: n,
      noun: 'letter',
      isHarmful: true,
    },
    children: html`<p>${plural(n, 'This event is', 'These events are')} not sent to the destination, ever; those behind follow: ${number(behind)} so far. They stay in the feed.</p>`,
    ...many,
  });
}
