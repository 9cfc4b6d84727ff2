/** A list that is read page by page; what is shown stays while more, or the same anew, is asked for. */
import { useCallback, useEffect, useRef, useState } from '../vendor/preact.js';
import { get } from './api.js';
import { session } from './session.js';

/** As the API's lists have it. */
const LIMIT_MAX = 1_000;

/**
 * @template Row
 * @param {string} path with what filters the list; `limit` and `cursor` are added
 * @param {{ name: string, limit?: number }} options `name` of the rows in the answer
 * @returns {{ rows: readonly Row[], first: any, hasMore: boolean, isLoading: boolean, problem: Error | undefined, at: number | undefined, more: () => void, reload: () => void }}
 *   `first` = the newest answer that began the list; `at` = when that came
 */
export function usePages(path, { name, limit = 200 }) {
  const [state, setState] = useState(/** @type {any} */ ({ rows: [], isLoading: true }));
  const leaving = useRef(new AbortController());
  /** @param {string | undefined} cursor @param {number} rows */
  const read = async (cursor, rows) => {
    leaving.current.abort();
    leaving.current = new AbortController();
    const { signal } = leaving.current;
    setState((/** @type {any} */ before) => ({ ...before, isLoading: true }));
    const query = new URLSearchParams({ limit: String(Math.min(rows, LIMIT_MAX)), ...(cursor && { cursor }) });
    try {
      const answer = await get(`${path}${path.includes('?') ? '&' : '?'}${query}`, { signal });
      setState((/** @type {any} */ before) => ({
        path,
        rows: cursor ? [...before.rows, ...answer[name]] : answer[name],
        next: answer.next,
        isLoading: false,
        ...(cursor ? { first: before.first, at: before.at } : { first: answer, at: Date.now() }),
      }));
    } catch (problem) {
      if (!signal.aborted) setState((/** @type {any} */ before) => ({ ...before, problem, isLoading: false }));
    }
  };
  const shown = state.path === path ? state.rows.length : 0;
  const reload = useCallback(() => void read(undefined, Math.max(limit, shown)), [path, shown]);
  useEffect(() => {
    setState((/** @type {any} */ before) => (before.path === path ? before : { rows: [], isLoading: true }));
    void read(undefined, limit);
    return () => leaving.current.abort();
  }, [path]);
  useEffect(() => session.onChange(reload), [reload]);
  return {
    rows: state.rows,
    first: state.first,
    hasMore: Boolean(state.next),
    isLoading: state.isLoading,
    problem: state.problem,
    at: state.at,
    more: () => void (state.next && read(state.next, limit)),
    reload,
  };
}
