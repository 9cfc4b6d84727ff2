/** Views that the page loads only when they are opened: what is seldom looked at delays no first screen. They are the files of later/. */
import { html, useEffect, useState } from '../vendor/preact.js';
import { Loading, Notice, Page } from './ui.js';

/** @typedef {{ params: Record<string, string>, query: URLSearchParams }} Props */

/**
 * @param {string} title while it is on its way
 * @param {() => Promise<(props: Props) => unknown>} load
 * @returns {(props: Props) => unknown}
 */
export function later(title, load) {
  /** @type {((props: Props) => unknown) | undefined} */
  let View;
  return function Later(props) {
    const [isThere, setThere] = useState(View !== undefined);
    const [hasFailed, setFailed] = useState(false);
    useEffect(() => {
      if (View) return;
      load().then(
        (loaded) => {
          View = loaded;
          setThere(true);
        },
        () => setFailed(true),
      );
    }, []);
    if (isThere) return html`<${View} ...${props} />`;
    return html`<${Page} title=${title}>${
      hasFailed
        ? html`<${Notice} kind="bad"><p>This part of the page could not be loaded: the API does not answer.</p><p><button type="button" onClick=${() => location.reload()}>Load the page again</button></p><//>`
        : html`<${Loading} what="Loading" />`
    }<//>`;
  };
}
