/**
 * The console: one page, whose views are in views/index.js. This draws what is around a view: navigation, who is signed in, and what a
 * view that fails leaves behind.
 */
import { ConfigContext, readConfig } from './lib/config.js';
import { ConfirmHost } from './lib/confirm.js';
import { matchRoute, useHash } from './lib/router.js';
import { session, useSession } from './lib/session.js';
import { mayLook, SessionEnded, SignIn } from './lib/sign-in.js';
import { Notice, Page, ProblemNotice, tellFailure } from './lib/ui.js';
import { html, render, useEffect, useErrorBoundary, useState } from './vendor/preact.js';
import { views } from './views/index.js';

/** @typedef {import('./lib/config.js').Config} Config */

function Console() {
  const [config, setConfig] = useState(/** @type {Config | undefined} */ (undefined));
  const [problem, setProblem] = useState(/** @type {Error | undefined} */ (undefined));
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    readConfig().then(async (read) => {
      await session.configure(read);
      setConfig(read);
      setProblem(undefined);
    }, setProblem);
  }, [attempt]);
  if (!config)
    return html`<main id="main">${problem && html`<${ProblemNotice} problem=${problem} onRetry=${() => setAttempt(attempt + 1)} />`}</main>`;
  return html`<${ConfigContext.Provider} value=${config}><${Frame} config=${config} /><//>`;
}

/** @param {{ config: Config }} props */
function Frame({ config }) {
  const hash = useHash();
  const who = useSession();
  const { view, params, query } = matchRoute(views, hash);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => setOpen(false), [hash]);
  return html`
    <a class="skip" href="#main" onClick=${skipToMain}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="#/">order-saga</a>
      ${mayLook(who) && html`<button type="button" class="menu" aria-expanded=${isOpen ? 'true' : 'false'} aria-controls="views" onClick=${() => setOpen(!isOpen)}>Views</button>`}
      <nav id="views" aria-label="Views" class=${isOpen ? 'open' : ''}><ul>${mayLook(who) && navigationOf(who.roles, view)}</ul></nav>
      <${Who} who=${who} />
      ${config.authentication === 'none' && html`<p class="banner" role="note"><strong>No authentication:</strong> everybody who reaches this page is <code>anonymous</code> and has every role. The API serves this machine only.</p>`}
      <${SessionEnded} who=${who} />
    </header>
    <main id="main" tabindex="-1">
      ${!mayLook(who) ? html`<${SignIn} who=${who} issuer=${config.signIn?.issuer} />` : view ? html`<${Fenced} key=${hash.split('?')[0]} view=${view} params=${params} query=${query} />` : html`<${Page} title="Nothing here"><p>There is no view at <code>${hash}</code>. <a href="#/">Go to the first screen.</a></p><//>`}
    </main>
    <${ConfirmHost} />`;
}

/** The hash is the router's, so the link moves the focus by itself. @param {Event} event */
function skipToMain(event) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/**
 * @param {readonly string[]} roles
 * @param {import('./lib/router.js').View | undefined} current
 */
function navigationOf(roles, current) {
  return views
    .filter(({ nav }) => nav && (!nav.roles || nav.roles.some((role) => roles.includes(role))))
    .toSorted((a, b) => (a.nav?.order ?? 0) - (b.nav?.order ?? 0))
    .map(
      (view) =>
        html`<li key=${view.path}><a href=${`#${view.path}`} aria-current=${view === current ? 'page' : undefined}>${view.nav?.label}</a></li>`,
    );
}

/** @param {{ who: import('./lib/session.js').Who }} props */
function Who({ who }) {
  if (!who.needsSignIn) return html`<span class="who">${who.subject}</span>`;
  if (!who.subject) return html`<button type="button" onClick=${() => session.signIn()}>Sign in</button>`;
  return html`<span class="who">${who.subject} <small>${who.roles.join(', ')}</small> <button type="button" class="quiet" onClick=${() => session.signOut()}>Sign out</button></span>`;
}

/**
 * A view that fails takes nothing else with it.
 * @param {{ view: import('./lib/router.js').View, params: Record<string, string>, query: URLSearchParams }} props
 */
function Fenced({ view, params, query }) {
  const [failure, reset] = useErrorBoundary(tellFailure);
  useEffect(() => {
    document.title = `${typeof view.title === 'function' ? view.title(params) : view.title} · order-saga`;
  }, [view, params]);
  if (failure)
    return html`<${Page} title="This view has failed"><${Notice} kind="bad">${failure.message}<//><button type="button" onClick=${reset}>Draw it again</button><//>`;
  return html`<${view.View} params=${params} query=${query} />`;
}

const root = document.getElementById('console');
if (root) render(html`<${Console} />`, root);
