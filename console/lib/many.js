/** One act on each of many things, one after the other, and what has come of each: what is refused stops nothing behind it. */
import { html } from '../vendor/preact.js';
import { ApiProblem } from './api.js';
import { count, number } from './format.js';
import { Notice, SIGNS } from './ui.js';

/** @typedef {{ id: string, kind: import('./ui.js').Kind, word: string, says?: string | null }} Outcome of one thing: `word` is counted, `says` is what is to be known of it */

/** So many are listed at once; the others when they are asked for. */
const LISTED_MAX = 20;
/** As long as the API may ask to be left alone without somebody being asked. */
const WAITED_MAX_S = 15;

/**
 * @template {{ id: string }} Item
 * @param {readonly Item[]} items
 * @param {string} word of what is done: `closed`
 * @param {(item: Item, reason: string, key: string) => Promise<Partial<Outcome> | undefined>} act answers with what came of it, if that is not `word`
 */
export function createMany(items, word, act) {
  /** @type {Map<string, Outcome>} */
  const done = new Map();
  return {
    /** What has come of them until now; those that were not tried are told as such. @returns {Outcome[]} */
    outcomes: () => items.map(({ id }) => done.get(id) ?? { id, kind: 'off', word: 'not tried' }),
    hasBegun: () => done.size > 0,
    /** What is done stays so if the API goes away in between, and the same click goes on with the rest. @param {{ reason: string }} input @param {string} key */
    run: async ({ reason }, key) => {
      for (const item of items) {
        if (done.has(item.id)) continue;
        try {
          const otherwise = await patiently(() => act(item, reason, `${key}-${item.id}`));
          done.set(item.id, { id: item.id, kind: 'good', word, ...otherwise });
        } catch (problem) {
          if (!(problem instanceof ApiProblem)) throw problem;
          // What is wrong with the reason is wrong for all of them, and is told at its field.
          if (problem.fieldError('/reason') !== undefined) throw problem;
          if (problem.isPassing) throw told(problem, done.size, items.length);
          done.set(item.id, { id: item.id, kind: 'warn', word: 'refused', says: problem.detail });
        }
      }
      return true;
    },
  };
}

/** @template T @param {() => Promise<T>} act @returns {Promise<T>} */
async function patiently(act) {
  for (;;)
    try {
      return await act();
    } catch (problem) {
      const afterS = problem instanceof ApiProblem && problem.status === 429 ? (problem.retryAfterS ?? 1) : undefined;
      if (afterS === undefined || afterS > WAITED_MAX_S) throw problem;
      await new Promise((resolve) => setTimeout(resolve, Math.max(1, afterS) * 1_000));
    }
}

/** @param {ApiProblem} problem @param {number} tried @param {number} all */
const told = ({ status, body, detail, retryAfterS }, tried, all) =>
  new ApiProblem(
    status,
    {
      ...body,
      detail: `${detail} ${number(tried)} of ${number(all)} were tried; the same click goes on with the rest.`,
    },
    retryAfterS,
  );

/**
 * How many came to what, and each by itself.
 * @param {{ of: readonly Outcome[], noun: string }} props
 */
export function Outcomes({ of, noun }) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { word } of of) counts.set(word, (counts.get(word) ?? 0) + 1);
  const isGood = of.every(({ kind }) => kind === 'good');
  const sums = [...counts].map(([word, n]) => `${number(n)} ${word}`).join(', ');
  const name = noun.charAt(0).toUpperCase() + noun.slice(1);
  // What went otherwise comes first: it is what somebody has to look at.
  const listed = of.toSorted((a, b) => Number(a.kind === 'good') - Number(b.kind === 'good'));
  return html`<${Notice} kind=${isGood ? 'good' : 'warn'}><p>Of ${count(of.length, noun)}: ${sums || 'none was there any more'}.</p>
    ${of.length > 0 && html`<details open=${of.length <= LISTED_MAX}><summary>${of.length === 1 ? 'What came of it' : `Each of the ${number(of.length)}`}</summary><ul class="outcomes">${listed.map(({ id, kind, word, says }) => html`<li key=${id}>${SIGNS[kind]} ${name} ${id}: ${word}${says && `: ${says}`}</li>`)}</ul></details>`}<//>`;
}
