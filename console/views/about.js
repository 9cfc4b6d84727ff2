/** What this page is, and to which installation it speaks. */
import { base } from '../lib/base.js';
import { useConfig } from '../lib/config.js';
import { useSession } from '../lib/session.js';
import { Page } from '../lib/ui.js';
import { html } from '../vendor/preact.js';

function About() {
  const config = useConfig();
  const who = useSession();
  const documents = new URL('docs', base).href;
  return html`<${Page} title="About">
    <dl>
      <dt>API</dt><dd><code>${base.href}</code>, documented at <a href=${documents}>${documents}</a></dd>
      <dt>You</dt><dd><code>${who.subject || 'nobody'}</code> ${who.roles.length > 0 && `with the roles ${who.roles.join(', ')}`}</dd>
      <dt>Sign-in</dt><dd>${config.authentication === 'none' ? 'none: everybody has every role' : html`at <code>${config.signIn?.issuer}</code>, as the client <code>${config.signIn?.clientId}</code>`}</dd>
      ${config.temporalUrl && html`<dt>Temporal</dt><dd><a href=${config.temporalUrl}>${config.temporalUrl}</a></dd>`}
      ${config.tracesUrl && html`<dt>Traces</dt><dd><a href=${config.tracesUrl}>${config.tracesUrl}</a></dd>`}
    </dl>
  <//>`;
}

/** @type {import('../lib/router.js').View} */
export const about = { path: '/about', title: 'About', nav: { label: 'About', order: 90 }, View: About };
