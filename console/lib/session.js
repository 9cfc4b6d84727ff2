/**
 * Who uses the page, and with which rights. Without authentication everybody is `anonymous` with every role; else a person signs in at
 * the issuer, and the tokens stay in this page's memory. The first time the browser goes there and comes back to where it was. When a
 * token ends it is renewed if the issuer allows that; if not, a window of its own signs in again, so that the page keeps what was typed.
 */
import { useEffect, useState } from '../vendor/preact.js';
import { base } from './base.js';
import { authorizationUrl, newSecrets, redeem, renew, SignInFailure, signOutUrl } from './oidc.js';

/**
 * @typedef {object} Who
 * @property {string} subject '' = nobody is signed in
 * @property {readonly string[]} roles
 * @property {boolean} needsSignIn the API takes nothing without a token
 * @property {boolean} [hasEnded] the token is good no more; what is on the page stays
 * @property {string} [failure] why signing in did not work
 */
/** @typedef {import('./oidc.js').Secrets & { hash?: string }} Attempt */

const EVERY_ROLE = ['customer', 'service', 'operator', 'auditor'];
/** While the browser is at the issuer: what proves that it comes back from there. Never a token. */
const ATTEMPT = 'order-saga sign-in';
/** The window that signs in again tells this page by it: the policy on openers leaves the two no other way. */
const CHANNEL = 'order-saga sign-in';
const IN_WINDOW = 'window.';
/** Renewed so long before its end, or half-way if it lasts less than twice as long. */
const RENEW_BEFORE_MS = 30_000;

/** @type {Who} */
let who = { subject: '', roles: [], needsSignIn: true };
/** @type {import('./config.js').SignIn | undefined} */
let signIn;
/** @type {(import('./oidc.js').Tokens & { endsAt: number }) | undefined} */
let tokens;
/** @type {Promise<void> | undefined} */
let renewing;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {Set<(who: Who) => void>} */
const listeners = new Set();
/** @type {Set<(who: Who) => void>} */
const watchers = new Set();
/** Of the window that is open. @type {Attempt | undefined} */
let pending;

export const session = {
  /** Ends what the browser has come back from the issuer with, if it has. @param {import('./config.js').Config} config */
  async configure(config) {
    signIn = config.authentication === 'none' ? undefined : config.signIn;
    if (!signIn) return change({ subject: 'anonymous', roles: EVERY_ROLE, needsSignIn: false });
    change({ subject: '', roles: [], needsSignIn: true });
    const answer = new URLSearchParams(location.search);
    if (!answer.has('state')) return undefined;
    if (answer.get('state')?.startsWith(IN_WINDOW)) return handOver(location.search);
    const attempt = takeAttempt();
    history.replaceState(null, '', `${location.pathname}${attempt?.hash ?? location.hash}`);
    if (!attempt) return change({ ...who, failure: 'What came back is not of this tab. Sign in again.' });
    return arrive(() => redeem(/** @type {any} */ (signIn), attempt, answer));
  },
  who: () => who,
  roles: () => who.roles,
  /** Whether acts are offered; the API refuses them anyway. */
  canAct: () => who.roles.includes('operator'),
  /** @returns {Promise<string | undefined>} a token that is good, if there is one */
  async bearer() {
    if (tokens && Date.now() >= tokens.endsAt) await end();
    else await renewing;
    return tokens?.access;
  },
  /** First by this page itself; when a session has ended, by a window beside it. Call it from a click, or browsers open no window. */
  async signIn() {
    if (!signIn) return;
    if (who.hasEnded) return openWindow(signIn);
    try {
      const attempt = newSecrets();
      const url = await authorizationUrl(signIn, attempt);
      sessionStorage.setItem(ATTEMPT, JSON.stringify({ ...attempt, hash: location.hash }));
      location.assign(url);
    } catch (err) {
      change({ ...who, failure: wordsOf(err) });
    }
  },
  /** Here, and at the issuer if it has a place for that. */
  async signOut() {
    if (!signIn) return;
    const url = await signOutUrl(signIn, tokens?.id);
    forget();
    if (url) location.assign(url);
    else change({ subject: '', roles: [], needsSignIn: true }, true);
  },
  /** The API has refused the token. */
  expired() {
    if (tokens) void end(true);
  },
  /**
   * @param {(who: Who) => void} listener called when somebody has signed in or out, not when a token has only ended
   * @returns {() => void} ends it
   */
  onChange(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** @returns {Attempt | undefined} what was kept, which nothing finds again */
function takeAttempt() {
  const kept = sessionStorage.getItem(ATTEMPT);
  sessionStorage.removeItem(ATTEMPT);
  return kept === null ? undefined : JSON.parse(kept);
}

/** In the window: the page that opened it has what belongs to this answer, and is alone to redeem it. @param {string} answer */
function handOver(answer) {
  history.replaceState(null, '', location.pathname);
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(answer);
  change({
    ...who,
    failure: 'You have signed in again. Go back to the page from which you came, and close this window.',
  });
  window.close();
}

/** @param {import('./config.js').SignIn} at */
async function openWindow(at) {
  // At once, while the click counts; where it goes is not known yet.
  const opened = window.open('', '', 'popup,width=560,height=720');
  if (!opened)
    return change({
      ...who,
      failure: 'The browser opens no window for this page: allow it, and try again. Nothing is lost.',
    });
  try {
    const secrets = newSecrets();
    const attempt = { ...secrets, state: IN_WINDOW + secrets.state };
    pending = attempt;
    const url = await authorizationUrl(at, attempt);
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = ({ data }) => {
      const answer = new URLSearchParams(String(data));
      if (answer.get('state') !== attempt.state) return;
      channel.close();
      if (pending !== attempt) return;
      pending = undefined;
      void arrive(() => redeem(at, attempt, answer));
    };
    opened.location.href = url;
  } catch (err) {
    opened.close();
    change({ ...who, failure: wordsOf(err) });
  }
}

/** @param {() => Promise<import('./oidc.js').Tokens>} come */
async function arrive(come) {
  try {
    const next = await come();
    const { subject, roles } = await askWho(next);
    keep(next);
    change({ subject, roles, needsSignIn: true }, true);
  } catch (err) {
    change({ ...who, failure: wordsOf(err) });
  }
}

/**
 * Roles are what the API makes of the token, not what this page reads in it.
 * @param {import('./oidc.js').Tokens} given
 * @returns {Promise<{ subject: string, roles: string[] }>}
 */
async function askWho({ access, subject }) {
  const response = await fetch(new URL('whoami', base), { headers: { authorization: `Bearer ${access}` } }).catch(
    () => undefined,
  );
  if (!response) throw new SignInFailure('The API does not answer just now. Sign in again when it does.');
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  // The token is good, and gives no role that the API knows.
  if (response.status === 403) return { subject: subject ?? 'somebody', roles: [] };
  const why = response.status === 401 ? 'The API does not take the issuer’s token' : 'The API cannot say who you are';
  throw new SignInFailure(`${why}: ${answer.detail ?? response.status}`);
}

/** @param {import('./oidc.js').Tokens} given */
function keep(given) {
  clearTimeout(timer);
  tokens = { ...given, endsAt: Date.now() + given.lastsMs };
  const early = given.refresh === undefined ? 0 : Math.min(RENEW_BEFORE_MS, given.lastsMs / 2);
  // Timers cannot wait for longer than 24 days, and such a token need not be waited for.
  timer = setTimeout(() => void end(), Math.min(given.lastsMs - early, 2 ** 31 - 1));
}

/**
 * The token is at its end, or refused: another takes its place, or it is said that the session has ended.
 * @param {boolean} [isRefused] it is good for nothing, although its time is not over
 */
function end(isRefused = false) {
  renewing ??= (async () => {
    const before = tokens;
    clearTimeout(timer);
    try {
      if (!signIn || before?.refresh === undefined) throw new SignInFailure('There is nothing to renew it by.');
      const next = await renew(signIn, before.refresh);
      // Signed out meanwhile.
      if (tokens === before) keep({ ...next, refresh: next.refresh ?? before.refresh, id: next.id ?? before.id });
    } catch {
      const leftMs = before && !isRefused ? before.endsAt - Date.now() : 0;
      // The issuer may be away for a moment: it is tried again at the end.
      if (leftMs > 0) timer = setTimeout(() => void end(), leftMs);
      else if (tokens === before) {
        forget();
        change({ ...who, hasEnded: true });
      }
    } finally {
      renewing = undefined;
    }
  })();
  return renewing;
}

function forget() {
  clearTimeout(timer);
  tokens = undefined;
}

/** @param {unknown} err */
const wordsOf = (err) => (err instanceof SignInFailure ? err.message : `Signing in has failed: ${err}`);

/** @param {Who} next @param {boolean} [isAnother] somebody has signed in or out: what was read is read anew */
function change(next, isAnother = false) {
  who = next;
  for (const watch of watchers) watch(who);
  if (isAnother) for (const listener of listeners) listener(who);
}

/** @returns {Who} */
export function useSession() {
  const [now, setNow] = useState(who);
  useEffect(() => {
    setNow(who);
    watchers.add(setNow);
    return () => watchers.delete(setNow);
  }, []);
  return now;
}
