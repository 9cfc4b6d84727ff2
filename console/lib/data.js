/** Data of a view that is read once, and again on request; and acts, one at a time. */
import { useCallback, useEffect, useRef, useState } from '../vendor/preact.js';
import { ApiProblem, get } from './api.js';
import { session } from './session.js';

/**
 * Reads a path, and again when it changes, when `reload` is called, and when somebody has signed in. What was read before stays until
 * there is something newer, also through a problem.
 * @template T
 * @param {string | undefined} path undefined = nothing yet
 * @returns {{ data: T | undefined, problem: Error | undefined, isLoading: boolean, reload: () => void }}
 */
export function useRead(path) {
  const [state, setState] = useState(
    /** @type {{ path?: string, data?: T, problem?: Error, isLoading: boolean }} */ ({ isLoading: true }),
  );
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  useEffect(() => session.onChange(reload), []);
  useEffect(() => {
    if (path === undefined) return setState({ isLoading: false });
    const leaving = new AbortController();
    setState((before) => (before.path === path ? { ...before, isLoading: true } : { path, isLoading: true }));
    get(path, { signal: leaving.signal }).then(
      (data) => setState({ path, data, isLoading: false }),
      (problem) => {
        if (!leaving.signal.aborted) setState((before) => ({ ...before, problem, isLoading: false }));
      },
    );
    return () => leaving.abort();
  }, [path, round]);
  return { data: state.data, problem: state.problem, isLoading: state.isLoading, reload };
}

/**
 * An act, such as a POST: a click too many does nothing, and `post` sends the same again under the key of its first try.
 * @template I, O
 * @param {(input: I) => Promise<O>} act
 * @returns {{ submit: (input: I) => Promise<O | undefined>, isBusy: boolean, problem: ApiProblem | undefined, reset: () => void }}
 *   `submit` resolves with undefined if there is a problem
 */
export function useAct(act) {
  const [state, setState] = useState(/** @type {{ isBusy: boolean, problem?: ApiProblem }} */ ({ isBusy: false }));
  const busy = useRef(false);
  /** @param {I} input */
  const submit = async (input) => {
    if (busy.current) return undefined;
    busy.current = true;
    setState({ isBusy: true });
    try {
      const answer = await act(input);
      setState({ isBusy: false });
      return answer;
    } catch (err) {
      const problem = err instanceof ApiProblem ? err : new ApiProblem(-1, { detail: String(err) });
      setState({ isBusy: false, problem });
      return undefined;
    } finally {
      busy.current = false;
    }
  };
  return { submit, ...state, problem: state.problem, reset: () => setState({ isBusy: false }) };
}
