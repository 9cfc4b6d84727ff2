/** Rows that do not move under the pointer: what is new in a list waits until whoever is in it has left it, or asks for it. */
import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { count } from './format.js';

/** An act redraws its page within so long: until then nothing is held, whatever the pointer rests on. */
const LET_GO_MS = 3_000;
let freeUntil = 0;
/** @type {Set<() => void>} */
const held = new Set();

/** After an act: what came of it is to be seen, also where the pointer or the focus still is. */
export function letRowsGo() {
  freeUntil = performance.now() + LET_GO_MS;
  for (const release of held) release();
}

/**
 * @template Row
 * @param {readonly Row[]} rows as they are now
 * @param {(row: Row) => string} keyOf
 * @returns {{ shown: readonly Row[], fresh: number, showAll: () => void, hold: object }} `hold` = attributes of the element around the list.
 *   While it is held, rows that were shown keep their places with their newest content; those that are gone stay until it is left.
 */
export function useSteadyRows(rows, keyOf) {
  const [isHeld, setHeld] = useState(false);
  const kept = useRef(/** @type {readonly Row[]} */ (rows));
  const newest = new Map(rows.map((row) => [keyOf(row), row]));
  if (isHeld) kept.current = kept.current.map((row) => newest.get(keyOf(row)) ?? row);
  else kept.current = rows;
  const shownKeys = new Set(kept.current.map(keyOf));
  const [, redraw] = useState(0);
  useEffect(() => {
    const release = () => setHeld(false);
    held.add(release);
    return () => void held.delete(release);
  }, []);
  const hold = () => performance.now() > freeUntil && setHeld(true);
  /** @param {FocusEvent} event */
  const left = (event) => {
    const within = /** @type {Element} */ (event.currentTarget);
    if (!within.contains(/** @type {globalThis.Node | null} */ (event.relatedTarget)) && !within.matches(':hover'))
      setHeld(false);
  };
  return {
    shown: kept.current,
    fresh: rows.filter((row) => !shownKeys.has(keyOf(row))).length,
    showAll: () => {
      kept.current = rows;
      redraw((n) => n + 1);
    },
    hold: {
      onPointerEnter: hold,
      onPointerMove: hold,
      /** @param {PointerEvent} event */
      onPointerLeave: (event) => {
        const within = /** @type {Element} */ (event.currentTarget);
        if (!within.contains(document.activeElement)) setHeld(false);
      },
      onFocusCapture: hold,
      onBlurCapture: left,
    },
  };
}

/** @param {{ fresh: number, onShow: () => void }} props */
export const FreshRows = ({ fresh, onShow }) =>
  html`<p class="fresh" aria-live="polite">${fresh > 0 && html`<button type="button" onClick=${onShow}>Show ${count(fresh, 'new row')}</button>`}</p>`;
