/** `explain`: one order for the person who was woken for it: how it stands, why, what comes next, what may be done and what that costs. */
import type { Command } from 'commander';
import { NONE } from '../explanation/costs.js';
import { type Explanation, explainOrder } from '../explanation/explain.js';
import type { NextAct } from '../explanation/next-acts.js';
import { periodsOf } from '../explanation/periods.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import { addJsonOption, type Ops, orderId, run } from './command.js';
import { policyOf } from './connections.js';
import { EXIT, type ExitCode, nothingMatched } from './exit.js';
import { ledgerPlace } from './gateway-view.js';
import { duration, type Output, time } from './output.js';
import { noteReads } from './reads.js';

export function addExplainCommand(program: Command): void {
  const command = addJsonOption(program.command('explain'))
    .summary('one order: why it stands so, what comes next, what may be done and at what cost')
    .description(
      'Explains how one order stands, from its row, its saga, the gateway and its events, and marks where they do not agree. Changes nothing. Works while Temporal or the gateway is away: it says what it could not read.',
    )
    .argument('<order>', 'id of the order, or workflow id of its saga', orderId)
    .addHelpText('after', '\nExamples:\n  ops explain 01a1fc4b-2622-70f0-8b6b-725674f9c1d0')
    .action((id: string) => run(command, (ops) => explain(ops, id)));
}

async function explain(ops: Ops, id: string): Promise<ExitCode> {
  const { out, to, config } = ops;
  const db = await to.database();
  let away: string | undefined;
  const temporal = await to.temporal().catch((err: unknown) => {
    away = sentenceOf(err);
    return undefined;
  });
  const explanation = await explainOrder(
    {
      db,
      client: temporal?.client,
      gateway: ledgerPlace(config),
      policyOfToday: policyOf(config),
      probeEveryMs: config.PROBE_EVERY,
      periods: periodsOf(config),
    },
    id,
  );
  if (explanation === null) throw nothingMatched(`There is no order ${id}.`);
  if (away !== undefined) out.notice(away);
  await noteReads(ops, db, 'explain', [id]);
  out.document(explanation);
  if (!out.json) print(out, explanation);
  return EXIT.done;
}

/** The verdict first, since it is read on a telephone; what happened last, since it is the longest. */
function print(out: Output, it: Explanation): void {
  const step = it.step === null ? '' : ` at ${it.step}`;
  out.print(`${out.paint('bold', it.orderId)}  ${it.status}, ${it.situation}${step}`);
  out.print(`printed at ${time(it.at)}; all times are UTC (Z)`);
  for (const sentence of [...it.why, it.usual]) out.print(`  ${sentence}`);
  if (it.disagreements.length > 0) {
    out.print(out.paint('red', '\nThe sources do not agree'));
    for (const { between, says, sequel } of it.disagreements) {
      out.print(out.paint('red', `  ! ${between.join(' / ')}: ${says}`));
      out.print(`    ${sequel}`);
    }
  }
  title(out, 'What happens next by itself');
  if (it.next.length === 0) out.print('  nothing');
  for (const act of it.next) out.print(`  ${whenOf(act, it.at)}${act.what}`);
  title(out, 'What you may do');
  if (it.choices.length === 0)
    out.print(it.next.length === 0 ? '  nothing: it has come to its end' : '  nothing, but wait');
  for (const choice of it.choices) printChoice(out, choice);
  title(out, 'What happened');
  out.table(
    ['time', 'from', 'what'],
    it.happened.map(({ at, source, what }) => [
      `${time(at)} (${duration(Date.parse(it.at) - Date.parse(at))} ago)`,
      source,
      what,
    ]),
  );
  title(out, 'Read from');
  for (const [source, state] of Object.entries(it.sources)) out.print(`  ${source.padEnd(8)} ${state}`);
  if (it.words.length === 0) return;
  title(out, 'Words');
  for (const { word, means } of it.words) out.print(`  ${word}: ${means}`);
}

const title = (out: Output, text: string): void => out.print(out.paint('bold', `\n${text}`));

/** What has begun already is told since when. */
function whenOf({ at, atLatest }: NextAct, now: string): string {
  if (at === null) return '';
  const leftMs = Date.parse(at) - Date.parse(now);
  if (leftMs <= 0) return `now, since ${time(at)}: `;
  return `${atLatest ? 'by' : 'at'} ${time(at)} (in ${duration(leftMs)}): `;
}

function printChoice(out: Output, it: Explanation['choices'][number]): void {
  out.print(`  ${out.paint('bold', it.command)}${it.usual ? '  <- the usual choice' : ''}`);
  out.print(`    ${it.does}`);
  out.print(`    use it when: ${it.useWhen}`);
  const besides = [
    { of: 'stock', what: it.stock },
    { of: 'customer', what: it.customer },
  ].flatMap(({ of, what }) => (what === NONE ? [] : [` · ${of}: ${what}`]));
  out.print(`    this act: money: ${it.money}${besides.join('')}`);
  if (it.follows !== null) out.print(`    then by itself: ${it.follows}`);
  out.print(`    can it be taken back: ${it.reversible}`);
}
