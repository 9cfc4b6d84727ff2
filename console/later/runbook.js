/** The runbook, as docs/runbook.md of this release has it: it comes from the API, like the page, so it is there without a network. */
import { base } from '../lib/base.js';
import { Loading, Notice, Page, Panel } from '../lib/ui.js';
import { html, useEffect, useState } from '../vendor/preact.js';
import { blocksOf, sectionsOf, spansOf } from './markdown.js';

/** @typedef {import('./markdown.js').Section} Section */
/** @typedef {import('./markdown.js').Span} Span */

function useRunbook() {
  const [sections, setSections] = useState(/** @type {Section[] | undefined} */ (undefined));
  const [hasFailed, setFailed] = useState(false);
  const [round, setRound] = useState(0);
  useEffect(() => {
    const leaving = new AbortController();
    setFailed(false);
    fetch(new URL('console/runbook.md', base), { signal: leaving.signal })
      .then(async (response) => {
        if (!response.ok) throw new Error(`answered ${response.status}`);
        setSections(sectionsOf(await response.text()));
      })
      .catch(() => !leaving.signal.aborted && setFailed(true));
    return () => leaving.abort();
  }, [round]);
  return { sections, hasFailed, again: () => setRound(round + 1) };
}

/** @param {{ params: Record<string, string> }} props */
export function Runbook({ params: { section: slug } }) {
  const { sections, hasFailed, again } = useRunbook();
  const chosen = sections?.findIndex((each) => each.slug === slug) ?? -1;
  const title = sections?.[chosen]?.title ?? 'Runbook';
  if (!sections)
    return html`<${Page} title="Runbook">${
      hasFailed
        ? html`<${Notice} kind="bad"><p>The API does not answer just now.</p><p><button type="button" onClick=${again}>Try again</button></p><//>`
        : html`<${Loading} />`
    }<//>`;
  return html`<${Page} key=${slug} title=${html`<${Spans} of=${spansOf(title)} />`} actions=${slug && html`<a href="#/runbook">All of the runbook</a>`}>
    ${slug && chosen === -1 && html`<${Notice} kind="warn">The runbook of this release has no section <code>${slug}</code>.<//>`}
    ${chosen === -1 ? html`<${Contents} sections=${sections} />` : html`<div class="panel prose">${withBelow(sections, chosen).map((each, i) => html`<${One} section=${each} isFirst=${i === 0} />`)}</div>`}
  <//>`;
}

/** A section, and those of a lower level behind it. @param {readonly Section[]} sections @param {number} at */
function withBelow(sections, at) {
  const level = sections[at]?.level ?? 0;
  const next = sections.findIndex((each, i) => i > at && each.level <= level);
  return sections.slice(at, next === -1 ? undefined : next);
}

/** @param {{ sections: readonly Section[] }} props */
const Contents = ({ sections: [first, ...rest] }) =>
  html`<div class="panel prose">${first && html`<${Blocks} lines=${first.lines} />`}</div>
  <${Panel} title="Sections"><ul class="contents">${rest.map(({ slug, title }) => html`<li><a href=${`#/runbook/${slug}`}><${Spans} of=${spansOf(title)} /></a></li>`)}</ul><//>`;

/** @param {{ section: Section, isFirst: boolean }} props */
const One = ({ section: { title, lines }, isFirst }) =>
  html`${!isFirst && html`<h2><${Spans} of=${spansOf(title)} /></h2>`}<${Blocks} lines=${lines} />`;

/** @param {{ lines: readonly string[] }} props */
const Blocks = ({ lines }) =>
  blocksOf(lines).map((block) => {
    if (block.kind === 'paragraph') return html`<p><${Spans} of=${block.spans} /></p>`;
    if (block.kind === 'code')
      return html`<pre class="scroll" tabindex="0" role="region" aria-label="Commands">${block.text}</pre>`;
    if (block.kind === 'table')
      return html`<div class="scroll" tabindex="0" role="region" aria-label="Table"><table><thead><tr>${block.head.map((cell) => html`<th scope="col"><${Spans} of=${cell} /></th>`)}</tr></thead>
        <tbody>${block.rows.map((row) => html`<tr>${row.map((cell) => html`<td><${Spans} of=${cell} /></td>`)}</tr>`)}</tbody></table></div>`;
    const items = block.items.map((item) => html`<li><${Spans} of=${item} /></li>`);
    return block.isNumbered ? html`<ol>${items}</ol>` : html`<ul>${items}</ul>`;
  });

/** @param {{ of: readonly Span[] }} props */
const Spans = ({ of }) =>
  of.map((span) => {
    if (span.kind === 'code') return html`<code>${span.text}</code>`;
    if (span.kind === 'strong') return html`<strong><${Spans} of=${spansOf(span.text)} /></strong>`;
    if (span.kind === 'em') return html`<em>${span.text}</em>`;
    if (span.kind !== 'link') return span.text;
    if (span.to.startsWith('#')) return html`<a href=${`#/runbook/${span.to.slice(1)}`}>${span.text}</a>`;
    if (/^https?:/.test(span.to)) return html`<a href=${span.to}>${span.text}</a>`;
    // Another page of the documentation, which the API does not serve.
    return html`${span.text} <small>(<code>${span.to.replace(/^\.\.\//, '').replace(/^(?!\w+\/)/, 'docs/')}</code>)</small>`;
  });
