/** One act on each of many things, one after the other, and what has come of each: what is refused stops nothing behind it. */
import { html } from '../vendor/preact.js';
import { ApiProblem } from './api.js';
import { count, number } from './format.js';
import { Notice, SIGNS } from './ui.js';

/** @typedef {{ id: string, kind: import('./ui.js').Kind, word: string, says?: string | null }} Outcome of one thing: `word` is counted, `says` is what is to be known of it */

/** So many are listed at once; the others when they are asked for. */
const LISTED_MAX = 20;
/** As long as the API may ask to be left alone without somebody being asked: at once, and in all at one thing. */
const WAITED_MAX_S = 15;
const WAITED_IN_ALL_MAX_S = 60;

/**
 * @template {{ id: string }} Item
 * @param {readonly Item[]} items
 * @param {{ word: string, noun: string }} named what is done, such as `closed`, and to what
 * @param {(item: Item, reason: string) => Promise<Partial<Outcome> | undefined>} act answers with what came of it, if that is not `word`
 */
export function createMany(items, { word, noun }, act) {
  /** @type {Map<string, Outcome>} */
  const done = new Map();
  /** Asked for, and not answered: what has come of them is not known. @type {Set<string>} */
  const unanswered = new Set();
  /** @param {Item} item @returns {Outcome} */
  const outcomeOf = ({ id }) =>
    done.get(id) ??
    (unanswered.has(id)
      ? { id, kind: 'warn', word: 'not answered', says: 'it may have been done' }
      : { id, kind: 'off', word: 'not tried' });
  return {
    /** What has come of each of them until now; undefined = none was begun. */
    told: () =>
      done.size + unanswered.size > 0 ? html`<${Outcomes} of=${items.map(outcomeOf)} noun=${noun} />` : undefined,
    /** What is done stays so if the API goes away in between, and the same click goes on with the rest. @param {{ reason: string }} input @param {AbortSignal} leaving then no further one is begun */
    run: async ({ reason }, leaving) => {
      for (const item of items) {
        if (done.has(item.id)) continue;
        if (leaving.aborted) break;
        try {
          const otherwise = await patiently(() => act(item, reason), leaving);
          done.set(item.id, { id: item.id, kind: 'good', word, ...otherwise });
        } catch (problem) {
          if (!(problem instanceof ApiProblem)) throw problem;
          // What is wrong with the reason is wrong for all of them, and is told at its field.
          if (problem.fieldError('/reason') !== undefined) throw problem;
          if (problem.isUndecided) unanswered.add(item.id);
          if (problem.isPassing) throw told(problem, done.size, items.length);
          done.set(item.id, { id: item.id, kind: 'warn', word: 'refused', says: problem.detail });
        }
      }
      return true;
    },
  };
}

/** @template T @param {() => Promise<T>} act @param {AbortSignal} leaving @returns {Promise<T>} */
async function patiently(act, leaving) {
  for (let waitedS = 0; ; )
    try {
      return await act();
    } catch (problem) {
      if (!(problem instanceof ApiProblem) || !(problem.status === 429 || problem.isUnderWay)) throw problem;
      const afterS = Math.max(1, problem.retryAfterS ?? 1);
      waitedS += afterS;
      if (afterS > WAITED_MAX_S || waitedS > WAITED_IN_ALL_MAX_S) throw problem;
      await elapsed(afterS * 1_000, leaving);
      if (leaving.aborted) throw problem;
    }
}

/** @param {number} ms @param {AbortSignal} leaving ends it at once */
const elapsed = (ms, leaving) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const left = () => {
      clearTimeout(timer);
      resolve(undefined);
    };
    leaving.addEventListener('abort', left, { once: true });
    if (leaving.aborted) left();
  });

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
    ${of.length > 0 && html`<details open=${of.length <= LISTED_MAX}><summary>${of.length === 1 ? 'What came of it' : `Each of the ${number(of.length)}`}</summary><ul class="outcomes" tabindex="0" aria-label="Outcomes">${listed.map(({ id, kind, word, says }) => html`<li key=${id}>${SIGNS[kind]} ${name} ${id}: ${word}${says && `: ${says}`}</li>`)}</ul></details>`}<//>`;
}
