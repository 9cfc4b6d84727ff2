/** What stands in a view's place while nobody is signed in, or nobody with a role; and what is said above it when a session has ended. */
import { html } from '../vendor/preact.js';
import { session } from './session.js';
import { Notice, Page } from './ui.js';

/** @typedef {import('./session.js').Who} Who */

const ROLES_HERE = ['operator', 'auditor'];

/** @param {Who} who @returns {boolean} whether views are drawn */
export const mayLook = (who) => who.subject !== '' && who.roles.some((role) => ROLES_HERE.includes(role));

/** @param {{ who: Who }} props */
const Failure = ({ who }) => who.failure && html`<${Notice} kind="bad"><p>${who.failure}</p><//>`;

/** @param {{ who: Who, issuer: string | undefined }} props */
export function SignIn({ who, issuer }) {
  if (who.subject !== '') return html`<${WrongRole} who=${who} />`;
  return html`<${Page} title="Sign in">
    <${Failure} who=${who} />
    <p>You are sent to <code>${issuer}</code>, and back to where you are. Tokens stay in the memory of this page: whoever loads it anew signs in again.</p>
    <p><button type="button" class="primary" onClick=${() => session.signIn()}>Sign in</button></p>
  <//>`;
}

/** @param {{ who: Who }} props */
function WrongRole({ who }) {
  const has =
    who.roles.length === 0
      ? 'no role that the API knows'
      : `the ${who.roles.length === 1 ? 'role' : 'roles'} ${who.roles.join(', ')}`;
  return html`<${Page} title="Not for this role">
    <${Failure} who=${who} />
    <${Notice} kind="warn"><p>You are signed in as <code>${who.subject}</code> with ${has}. The console is for the roles <code>operator</code> and <code>auditor</code>. Whoever manages the issuer gives them, in the claim that <code>AUTH_ROLES_CLAIM</code> names.</p><//>
    <p><button type="button" onClick=${() => session.signOut()}>Sign out, and in as somebody else</button></p>
  <//>`;
}

/** @param {{ who: Who }} props */
export function SessionEnded({ who }) {
  if (!who.hasEnded) return null;
  return html`<div class="banner" role="alert">
    <strong>Your session has ended.</strong> What is on this page stays, also what you have typed. <button type="button" onClick=${() => session.signIn()}>Sign in again</button>
    ${who.failure && html`<p>${who.failure}</p>`}
  </div>`;
}
