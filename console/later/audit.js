/** The audit trail: who did what, and why, and how it stood before and after; and whether the trail is what was signed. */
import { get } from '../lib/api.js';
import { moment, number } from '../lib/format.js';
import { Choice, ReadAt, usePages, withQuery } from '../lib/lists.js';
import { navigate } from '../lib/router.js';
import { Field, Notice, Page, Pager, Panel, ProblemNotice, Status, Table } from '../lib/ui.js';
import { html, useEffect, useRef, useState } from '../vendor/preact.js';

/** @typedef {{ id: number, kind: string, at: string, times: number, subject: string | null, route: string, resource: string | null, reason: string | null, status: number, correlationId: string, before: Record<string, unknown> | null, after: Record<string, unknown> | null, hash: string }} Entry */
/** @typedef {{ flaw: { table: string, id: number, what: string, detail: string } | null, checked: { acts: number, calls: number, trail: number }, keyed: boolean, next: string | null }} Part */

const KINDS = /** @type {const} */ ([
  ['', 'Every kind'],
  ['act', 'Acts'],
  ['outcome', 'What came of acts'],
  ['refused', 'Refused calls'],
  ['read', 'Reads of personal data'],
  ['no-effect', 'Acts without effect'],
  ['seal', 'Seals'],
  ['purge', 'Removals by retention'],
  ['legacy', 'Of before the chain'],
]);
const FILTERS = ['kind', 'subject', 'resource', 'route', 'from', 'until'];
const DAY = /^\d{4}-\d\d-\d\d$/;

/** @param {{ query: URLSearchParams }} props */
export function Audit({ query }) {
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? '']));
  const { from, until } = filter;
  const times = { from: from && `${from}T00:00:00Z`, until: until && `${until}T23:59:59.999Z` };
  const pages = usePages(withQuery('admin/audit/entries', { ...filter, ...times }), 'entries', { refreshMs: 15_000 });
  return html`<${Page} title="Audit trail" actions=${html`<${ReadAt} of=${pages} />`}>
    <${Panel} title="Is it whole?"><${Verification} /><//>
    <${Panel} title="Search"><${Search} filter=${filter} onAgain=${pages.reload} /><//>
    <${Panel} title="Entries, newest first">
      <${ProblemNotice} problem=${pages.problem} onRetry=${pages.reload} />
      <${Table} label="Entries of the audit trail" rows=${pages.rows} keyOf=${(/** @type {Entry} */ { kind, id }) => `${kind} ${id}`} empty=${pages.isLoading ? 'Reading …' : 'Nothing matches.'} columns=${COLUMNS} />
      <${Pager} hasMore=${pages.hasMore} onMore=${pages.more} isLoading=${pages.isLoading} shown=${pages.rows.length} noun="entry" many="entries" />
    <//>
  <//>`;
}

/** @param {{ filter: Record<string, string>, onAgain: () => void }} props `onAgain` = the same is searched for */
function Search({ filter, onAgain }) {
  const [values, setValues] = useState(filter);
  const [errors, setErrors] = useState(/** @type {Record<string, string>} */ ({}));
  useEffect(() => setValues(filter), [JSON.stringify(filter)]);
  const field = (/** @type {string} */ name) => ({
    ...{ name: `audit-${name}`, value: values[name] ?? '', error: errors[name] },
    onInput: (/** @type {string} */ value) => setValues((before) => ({ ...before, [name]: value })),
  });
  const search = (/** @type {Event} */ event) => {
    event.preventDefault();
    const wrong = ['from', 'until'].filter(
      (name) => values[name] && !(DAY.test(values[name] ?? '') && Number.isFinite(Date.parse(values[name] ?? ''))),
    );
    setErrors(Object.fromEntries(wrong.map((name) => [name, 'A day as 2026-11-29.'])));
    const wanted = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.trim()]));
    if (wrong.length === 0 && !navigate('/audit', wanted)) onAgain();
  };
  return html`<form onSubmit=${search} novalidate>
    <div class="fields">
      <${Choice} label="Kind" options=${KINDS} ...${field('kind')} />
      <${Field} label="Who" hint="The subject of their token" ...${field('subject')} />
      <${Field} label="About what" hint="An order, a dead letter, a finding, a SKU, a brake" ...${field('resource')} />
      <${Field} label="By which way" hint="As POST /inventory/:sku/adjust, or a command" ...${field('route')} />
      <${Field} label="From the day (UTC)" ...${field('from')} />
      <${Field} label="To the day (UTC)" ...${field('until')} />
    </div>
    <div class="actions"><button type="submit" class="primary">Search</button><button type="button" onClick=${() => navigate('/audit')}>Clear</button></div>
  </form>`;
}

const shownValues = (/** @type {Record<string, unknown> | null} */ values) =>
  values === null
    ? html`<span class="faint">–</span>`
    : html`<code>${Object.entries(values)
        .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
        .join(', ')}</code>`;
/** @type {Record<string, import('../lib/ui.js').Kind>} */
const KIND_SIGNS = {
  act: 'good',
  outcome: 'info',
  refused: 'bad',
  read: 'info',
  'no-effect': 'off',
  seal: 'info',
  purge: 'info',
  legacy: 'off',
};

const COLUMNS = [
  { label: 'When', cell: (/** @type {Entry} */ { at }) => html`<time datetime=${at}>${moment(at)}</time>` },
  {
    label: 'Kind',
    cell: (/** @type {Entry} */ { kind, times, id }) =>
      html`<${Status} kind=${KIND_SIGNS[kind] ?? 'info'}>${kind} ${number(id)}<//>${times > 1 && html` <small>${number(times)} times</small>`}`,
  },
  { label: 'Who', cell: (/** @type {Entry} */ { subject }) => subject ?? html`<span class="faint">not known</span>` },
  {
    label: 'What',
    cell: (/** @type {Entry} */ { route, status }) =>
      html`<code>${route}</code>${status > 0 && html` <small>${status}</small>`}`,
  },
  { label: 'About', cell: (/** @type {Entry} */ { resource }) => resource && html`<code>${resource}</code>` },
  { label: 'Reason', cell: (/** @type {Entry} */ { reason }) => reason },
  { label: 'Before', cell: (/** @type {Entry} */ { before }) => shownValues(before) },
  { label: 'After', cell: (/** @type {Entry} */ { after }) => shownValues(after) },
];

/** Verifies part by part, for as long as this is shown. */
function Verification() {
  const [state, setState] = useState(
    /** @type {{ isRunning: boolean, acts: number, calls: number, trail: number, last?: Part, at?: number, problem?: Error }} */ ({
      isRunning: false,
      acts: 0,
      calls: 0,
      trail: 0,
    }),
  );
  const leaving = useRef(new AbortController());
  useEffect(() => () => leaving.current.abort(), []);
  const verify = async () => {
    const sum = { acts: 0, calls: 0, trail: 0 };
    setState({ isRunning: true, ...sum });
    try {
      for (let cursor = ''; ; ) {
        const part = /** @type {Part} */ (
          await get(withQuery('admin/audit/verification', { cursor }), { signal: leaving.current.signal })
        );
        for (const table of /** @type {const} */ (['acts', 'calls', 'trail'])) sum[table] += part.checked[table];
        setState({ isRunning: part.next !== null, ...sum, last: part, at: Date.now() });
        if (part.next === null) return;
        cursor = part.next;
      }
    } catch (problem) {
      if (!leaving.current.signal.aborted)
        setState({ isRunning: false, ...sum, problem: /** @type {Error} */ (problem) });
    }
  };
  const { isRunning, acts, calls, trail, last, at, problem } = state;
  const checked = `${number(acts)} acts, ${number(calls)} calls and ${number(trail)} rows of before the chain`;
  return html`
    ${isRunning && html`<${Status} kind="busy">Verified so far: ${checked}<//>`}
    ${last?.flaw && html`<${Notice} kind="bad">The trail is not what was signed. The first that is not in order: entry ${number(last.flaw.id)} of the ${last.flaw.table} (${last.flaw.what}): ${last.flaw.detail}.<//>`}
    ${last && !last.flaw && last.next === null && html`<${Notice} kind=${last.keyed ? 'good' : 'warn'}>Whole at ${moment(at ?? 0)}: ${checked}. ${last.keyed ? '' : 'This API has no AUDIT_KEY: without one, nothing is proved. '}Whether the end was cut off, only <code>ops audit verify</code> knows, by the anchor outside the database.<//>`}
    <${ProblemNotice} problem=${problem} />
    ${!isRunning && html`<p><button type="button" onClick=${verify}>${last || problem ? 'Verify again' : 'Verify the trail'}</button></p>`}`;
}
