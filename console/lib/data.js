/** Data of a view that is read once, and again on request; and acts, which are repeated with the key of their first try. */
import { useCallback, useEffect, useRef, useState } from '../vendor/preact.js';
import { ApiProblem, get, newKey } from './api.js';
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
 * An act, such as a POST. While its outcome is not known (no answer, 401, 429, 5xx) the same input is sent again under the same
 * Idempotency-Key, so that a click too many does nothing twice; other input has a key of its own.
 * @template I, O
 * @param {(input: I, idempotencyKey: string) => Promise<O>} act
 * @returns {{ submit: (input: I) => Promise<O | undefined>, isBusy: boolean, problem: ApiProblem | undefined, reset: () => void }}
 *   `submit` resolves with undefined if there is a problem
 */
export function useAct(act) {
  const [state, setState] = useState(/** @type {{ isBusy: boolean, problem?: ApiProblem }} */ ({ isBusy: false }));
  const kept = useRef(/** @type {{ input: string, key: string } | undefined} */ (undefined));
  const busy = useRef(false);
  /** @param {I} input */
  const submit = async (input) => {
    if (busy.current) return undefined;
    busy.current = true;
    setState({ isBusy: true });
    const spelled = JSON.stringify(input) ?? '';
    if (kept.current?.input !== spelled) kept.current = { input: spelled, key: newKey() };
    try {
      const answer = await act(input, kept.current.key);
      kept.current = undefined;
      setState({ isBusy: false });
      return answer;
    } catch (err) {
      const problem = err instanceof ApiProblem ? err : new ApiProblem(-1, { detail: String(err) });
      if (!problem.isPassing) kept.current = undefined;
      setState({ isBusy: false, problem });
      return undefined;
    } finally {
      busy.current = false;
    }
  };
  return { submit, ...state, problem: state.problem, reset: () => setState({ isBusy: false }) };
}
