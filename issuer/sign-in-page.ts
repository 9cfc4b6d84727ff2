/** The page on which one chooses who one is. It runs no script, and posts to its own address, which says what was asked for. */
import { createHash } from 'node:crypto';
import type { AuthorizationRequest } from './authorization.js';

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 30rem; margin: 2rem auto; padding: 0 1rem }
fieldset { border: 1px solid; border-radius: .25rem; margin: 1rem 0 }
label { display: block; min-height: 1.75rem }
input[type=text] { width: 100%; box-sizing: border-box; font: inherit; padding: .25rem }
input[type=checkbox] { width: 1.2rem; height: 1.2rem; vertical-align: middle }
button { font: inherit; padding: .5rem 1rem; margin-right: .5rem }
code { overflow-wrap: anywhere }
`;
const ROLES = {
  operator: 'decides, and sees everything',
  auditor: 'sees everything, decides nothing',
  service: 'places and cancels any customer’s orders',
  customer: 'own orders only',
};

export function signInPage({ clientId, redirectUri, loginHint }: AuthorizationRequest, fault?: string): string {
  const boxes = Object.entries(ROLES).map(
    ([role, meaning]) =>
      `<label><input type="checkbox" name="roles" value="${role}"${role === 'operator' ? ' checked' : ''}> ${role}: ${meaning}</label>`,
  );
  return page(
    'Who are you?',
    `<p>order-saga’s token issuer for laptops believes what you say.</p>
<p>Client <code>${escaped(clientId)}</code>, and then back to <code>${escaped(redirectUri)}</code>.</p>
${fault === undefined ? '' : `<p role="alert"><strong>${escaped(fault)}</strong></p>`}
<form method="post">
<label for="sub">Subject</label>
<input type="text" id="sub" name="sub" value="${escaped(loginHint ?? 'local-operator')}" maxlength="128" required autocomplete="off">
<fieldset><legend>Roles</legend>${boxes.join('\n')}</fieldset>
<label for="ttl">The token is good for</label>
<input type="text" id="ttl" name="ttl" value="1h" maxlength="16" required autocomplete="off">
<p><button name="choice" value="sign-in">Sign in</button><button name="choice" value="cancel" formnovalidate>Cancel</button></p>
</form>`,
  );
}

/** For a person, where there is no client to be told. */
export const faultPage = (fault: string): string =>
  page('This cannot be done', `<p role="alert">${escaped(fault)}</p>`);

export const signedOutPage = (): string =>
  page('Signed out', '<p>Nobody stays signed in at this issuer. You may close this window.</p>');

const page = (title: string, body: string): string =>
  `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title} · order-saga issuer</title><style>${STYLE}</style>
<main><h1>${title}</h1>
${body}
</main></html>
`;

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** @param redirectUri where a form may lead: browsers hold redirections of what is posted against it, too */
export function pageHeaders(redirectUri?: string): Record<string, string> {
  const policy = [
    "default-src 'none'",
    `style-src 'sha256-${STYLE_HASH}'`,
    `form-action 'self'${redirectUri === undefined ? '' : ` ${sourceOf(redirectUri)}`}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ];
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy.join('; '),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    // Without a referrer browsers would say of what this page posts that it comes from nowhere, and it would be refused.
    'referrer-policy': 'same-origin',
  };
}

/** A policy cannot name an IPv6 address; then its scheme has to do. */
function sourceOf(redirectUri: string): string {
  const { origin, protocol, hostname } = new URL(redirectUri);
  return hostname.startsWith('[') ? protocol : origin;
}
