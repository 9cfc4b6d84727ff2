/** `report`: for those who account for the service: orders by outcome, compensations, operators' decisions and acts, findings. */
import type { Command } from 'commander';
import { money } from '../../contracts/amounts.js';
import type { Span } from '../../domain/report.js';
import { addJsonOption, type Ops, run } from '../command.js';
import { EXIT, type ExitCode, usage } from '../exit.js';
import { moment } from '../find.js';
import { type Output, time } from '../output.js';
import { type Cell, csv } from './csv.js';
import { gatherReport, type Report } from './gather.js';

type Options = { from: number; to?: number; csv?: true; json?: true };

export function addReportCommand(program: Command): void {
  const command = program
    .command('report')
    .summary('orders by outcome, compensations, decisions, acts and findings of a span of time')
    .description(
      'Counts the orders that were accepted in the span by what has become of them, and what was compensated, decided, done and found in it. Decisions are those of the saga log, by whichever way they came; acts are those of the audit trail. Probes of `doctor` are no orders here, and are among the acts.',
    )
    .requiredOption('--from <moment>', 'e.g. 2026-11-01 (UTC), or 7d (ago)', moment)
    .option('--to <moment>', 'before this moment (default: now)', moment)
    .option('--csv', 'as CSV, one table of all sections');
  addJsonOption(command)
    .addHelpText(
      'after',
      '\nExamples:\n  ops report --from 2026-11-01 --to 2026-12-01 --csv > november.csv\n  ops report --from 7d --json',
    )
    .action((options: Options) => run(command, (ops) => report(ops, options)));
}

async function report({ out, to }: Ops, options: Options): Promise<ExitCode> {
  const span = { fromMs: options.from, toMs: options.to ?? Date.now() };
  if (span.fromMs >= span.toMs) throw usage('--to must be later than --from.');
  if (options.csv && out.json) throw usage('--csv or --json, not both.');
  const found = await gatherReport(await to.database(), span);
  const shown = documentOf(span, found);
  out.document(shown);
  if (options.csv) out.raw(csv(HEAD, rowsOf(shown)));
  else print(out, shown);
  return EXIT.done;
}

/** As JSON: moments as text, ids that fit. */
const documentOf = ({ fromMs, toMs }: Span, { orders, compensations, decisions, acts, findings }: Report) => ({
  from: new Date(fromMs).toISOString(),
  to: new Date(toMs).toISOString(),
  orders,
  compensations,
  decisions: decisions.map((decision) => ({ ...decision, at: decision.at.toISOString() })),
  acts: acts.map(({ id, ...act }) => ({ id: Number(id), ...act, at: act.at.toISOString() })),
  findings,
});
type ReportDocument = ReturnType<typeof documentOf>;

const HEAD = ['section', 'what', 'outcome', 'count', 'amount_minor', 'currency', 'at', 'subject', 'by', 'reason'];

function rowsOf({ from, to, orders, compensations, decisions, acts, findings }: ReportDocument): Cell[][] {
  return [
    ['span', 'from', null, null, null, null, from, null, null, null],
    ['span', 'to', null, null, null, null, to, null, null, null],
    ...orders.map((o): Cell[] => [
      'orders',
      statusOf(o),
      o.reason,
      o.count,
      o.amount,
      o.currency,
      null,
      null,
      null,
      null,
    ]),
    ...compensations.map((c): Cell[] => [
      'compensations',
      c.step,
      c.outcome,
      c.count,
      null,
      null,
      null,
      null,
      null,
      null,
    ]),
    ...findings.map((f): Cell[] => [
      'findings',
      f.kind,
      f.action,
      f.count,
      f.amount,
      f.currency,
      null,
      null,
      null,
      null,
    ]),
    ...decisions.map((d): Cell[] => ['decisions', d.what, null, null, null, null, d.at, d.orderId, d.by, d.detail]),
    ...acts.map((a): Cell[] => ['acts', a.route, null, null, null, null, a.at, a.resource, a.by, a.reason]),
  ];
}

const statusOf = ({ status, isUnwinding }: { status: string; isUnwinding: boolean }): string =>
  isUnwinding ? `${status} (unwinding)` : status;

function print(out: Output, { from, to, orders, compensations, decisions, acts, findings }: ReportDocument): void {
  out.print(`From ${time(from)} to ${time(to)}`);
  section(
    out,
    'Orders',
    ['orders', 'status', 'reason', 'amount'],
    orders.map((o) => [`${o.count}`, statusOf(o), o.reason ?? '–', money(o)]),
  );
  section(
    out,
    'Compensations',
    ['times', 'undo', 'outcome', 'tries at most'],
    compensations.map((c) => [`${c.count}`, c.step, c.outcome, `${c.attemptsMax}`]),
  );
  section(
    out,
    'Findings',
    ['findings', 'kind', 'stands', 'amount'],
    findings.map((f) => [`${f.count}`, f.kind, f.action, money(f)]),
  );
  section(
    out,
    'Decisions',
    ['time', 'by', 'what', 'order', 'detail'],
    decisions.map((d) => [time(d.at), d.by, d.what, d.orderId, d.detail ?? '']),
  );
  section(
    out,
    'Acts',
    ['time', 'by', 'what', 'on', 'reason'],
    acts.map((a) => [time(a.at), a.by ?? '–', a.route, a.resource ?? '–', a.reason ?? '']),
  );
}

function section(out: Output, title: string, head: string[], rows: string[][]): void {
  out.print(out.paint('bold', `\n${title}${rows.length === 0 ? ': none' : ''}`));
  if (rows.length > 0) out.table(head, rows);
}
