/** Buttons for trying faults out, where `npm start` has them: each says what it does, and what it has done. */
import { post } from '../lib/api.js';
import { useConfig } from '../lib/config.js';
import { usePages } from '../lib/lists.js';
import { session, useSession } from '../lib/session.js';
import { Ago, Panel, ProblemNotice, Status, useNow } from '../lib/ui.js';
import { html, useState } from '../vendor/preact.js';

/** @typedef {{ buttons: { id: string, label: string, says: string }[], faults: { id: string, says: string, until: string }[], told: { at: string, says: string }[] }} Demo */

/** Nothing where there is no launcher, and for who may not act. */
export function DemoPanel() {
  const { demo } = useConfig();
  useSession();
  return demo && session.canAct() ? html`<${Buttons} />` : null;
}

function Buttons() {
  const pages = usePages('demo', 'buttons', { isWhole: true, refreshMs: 1_000 });
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState(/** @type {Error | undefined} */ (undefined));
  const state = /** @type {Demo | undefined} */ (pages.answer);
  const now = useNow();
  /** @param {string} id */
  const press = async (id) => {
    try {
      const { says } = await post(`demo/${id}`);
      setSaid(`${says} …`);
      setProblem(undefined);
    } catch (refused) {
      setProblem(/** @type {Error} */ (refused));
    }
    pages.reload();
  };
  return html`<${Panel} title="Try it out">
    <p class="faint">On this machine only. Orders are not lost by any of it: watch what is wrong, and how it mends.</p>
    <${ProblemNotice} problem=${problem ?? pages.problem} />
    <ul class="demo">${(state?.buttons ?? []).map(({ id, label, says }) => html`<li key=${id}><button type="button" onClick=${() => press(id)}>${label}</button> <small>${says}</small></li>`)}</ul>
    ${(state?.faults ?? []).map(({ id, says, until }) => html`<p key=${id}><${Status} kind="warn">${says}<//>; ends by itself in ${Math.max(0, Math.ceil((Date.parse(until) - now) / 1_000))} s</p>`)}
    <div aria-live="polite">${said && html`<p>${said}</p>`}
      <ol class="demo">${(state?.told ?? []).map(({ at, says }) => html`<li key=${at + says}><${Ago} at=${at} />: ${says}</li>`)}</ol>
    </div>
  <//>`;
}
