/** The address behind `#`: which view is shown, and of what. */
import { useEffect, useState } from '../vendor/preact.js';

/**
 * @typedef {object} View
 * @property {string} path such as `/orders/:id`
 * @property {string | ((params: Record<string, string>) => string)} title of the tab
 * @property {{ label: string, order: number, roles?: readonly string[] }} [nav] its place in the navigation; none = it has none
 * @property {(props: { params: Record<string, string>, query: URLSearchParams }) => unknown} View
 */

const current = () => location.hash.slice(1) || '/';

/** @returns {string} the address behind `#`, as it changes */
export function useHash() {
  const [hash, setHash] = useState(current());
  useEffect(() => {
    const changed = () => setHash(current());
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return hash;
}

/**
 * @param {readonly View[]} views
 * @param {string} hash
 * @returns {{ view?: View, params: Record<string, string>, query: URLSearchParams }}
 */
export function matchRoute(views, hash) {
  const [path = '/', search = ''] = hash.split('?', 2);
  const query = new URLSearchParams(search);
  for (const view of views) {
    const params = paramsOf(view.path.split('/'), path.split('/'));
    if (params) return { view, params, query };
  }
  return { params: {}, query };
}

/**
 * @param {string[]} pattern
 * @param {string[]} parts
 */
function paramsOf(pattern, parts) {
  if (pattern.length !== parts.length) return undefined;
  /** @type {Record<string, string>} */
  const params = {};
  for (const [i, name] of pattern.entries()) {
    const part = parts[i] ?? '';
    if (name.startsWith(':')) params[name.slice(1)] = decoded(part);
    else if (name !== part) return undefined;
  }
  return params;
}

/** @param {string} text typed by anybody */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Puts state into the address, so that a link shows the same and Back goes back.
 * @param {string} path
 * @param {Record<string, string | undefined>} [query]
 */
export function hrefOf(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
  return `#${path}${search && `?${search}`}`;
}

/**
 * @param {string} path
 * @param {Record<string, string | undefined>} [query]
 * @returns {boolean} whether that is another address: nothing is drawn anew at the same one
 */
export function navigate(path, query) {
  const href = hrefOf(path, query);
  if ((location.hash || '#/') === href) return false;
  location.hash = href;
  return true;
}
