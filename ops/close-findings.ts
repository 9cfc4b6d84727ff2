/**
 * Findings of the reconciler as operators see them, and an operator's decision on them: that what was
 * reported is dealt with (`reconcile --close`), or that the reconciler is to give a charge back (`reconcile --refund`).
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { money } from '../contracts/amounts.js';
import { closureOfFinding, refundOfFinding } from '../domain/audit/changes.js';
import type { Database } from '../domain/database.js';
import { CLOSED_AS, CLOSED_AS_REFUNDED, type ClosedAs, type FindingClosure } from '../domain/finding-closures.js';
import { GIVEN_BACK, GIVEN_BACK_ON_WORD } from '../domain/reconciliation.js';
import { type Finding, listFindings, requestReconciliation } from '../domain/reconciliation-findings.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import type { ItemResult } from '../sagas/deciding/outcomes.js';
import type { Recorder } from '../sagas/deciding/recorder.js';
import { type ActOptions, actOnAll, addActOptions, askBefore, signatureOf } from './act.js';
import type { Ops } from './command.js';
import { type ExitCode, nothingMatched, usage } from './exit.js';
import { type Output, time } from './output.js';
import { createRecorder } from './recorder.js';

export type CloseOptions = ActOptions & { close?: string[]; refund?: string[]; as?: ClosedAs };

export const addCloseOptions = (command: Command): Command =>
  addActOptions(
    command
      .option('--close <findings...>', 'ids of reported findings that have been dealt with', findingIds)
      .option(
        '--refund <findings...>',
        `ids of reported ${GIVEN_BACK.join(', ')}: the reconciler makes one more refund than have failed; or UNMARKED_CHARGE and ORPHAN_CHARGE, which are given back only so`,
        findingIds,
      )
      .addOption(
        new Option(
          '--as <end>',
          `with --close. cancelled: for good; refunded: reported again should the gateway still hold the money, of ${CLOSED_AS_REFUNDED.join(', ')} only`,
        ).choices([...CLOSED_AS]),
      ),
  );

function findingIds(text: string, earlier: string[] = []): string[] {
  if (!/^[1-9][0-9]{0,17}$/.test(text)) throw new InvalidArgumentError(`"${text}" is not the id of a finding.`);
  return [...new Set([...earlier, text])];
}

/** @throws OpsError usage: a call with a signature means to close something, and does not say what */
export function requireClose({ as, operator, reason, yes, canary }: CloseOptions): void {
  if ([as, operator, reason, yes, canary].some((option) => option !== undefined))
    throw usage('--as, --operator, --reason, --yes and --canary belong to --close or --refund <findings...>.');
}

export function printFindings(out: Output, findings: Finding[]): void {
  if (findings.length === 0) return;
  out.table(['finding', 'since', 'found', 'action', 'amount', 'order', 'charge', ''], findings.map(rowOf));
}

/** Apart from findings: there is nothing to close, and nothing that differs. */
export function printVouched(out: Output, vouched: Finding[]): void {
  if (vouched.length === 0) return;
  out.print(out.paint('bold', '\nPaid, or given back, by other means, as an operator vouches: nothing to do'));
  out.table(
    ['order', 'amount', 'vouched for by', 'since', ''],
    vouched.map(({ orderId, amount, currency, closedBy, updatedAt, action }) => [
      orderId,
      money({ amount, currency }),
      closedBy ?? 'nobody on record',
      time(updatedAt.toISOString()),
      action === 'refunded' ? 'given back' : 'paid',
    ]),
  );
}

const rowOf = (finding: Finding): string[] => [
  finding.id ?? '–',
  time(finding.at.toISOString()),
  finding.kind,
  finding.action,
  money(finding),
  finding.orderId,
  finding.reference || '–',
  [finding.detail, closingOf(finding)].filter((part) => part !== null).join('; '),
];

/** One that was closed and is open has been reported again. */
const closingOf = ({ action, closedBy, closedAs, reason }: Finding): string | null =>
  closedBy &&
  `${closedAs === 'refunding' ? 'refund ordered' : 'closed'} ${action === 'reported' ? 'before ' : ''}by ${closedBy}: ${reason}`;

export async function closeFindings(ops: Ops, ids: string[], options: CloseOptions): Promise<ExitCode> {
  const { as } = options;
  if (as === undefined) throw usage(`As what? Say --as ${CLOSED_AS.join(' or --as ')}. See \`reconcile --help\`.`);
  const signature = signatureOf(options, ops.config);
  const closing: FindingClosure = { as, ...signature };
  const db = await ops.to.database();
  const findings = await named(ops, db, ids);
  requireClosableAs(as, findings);
  const many = `${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}`;
  await askBefore(ops, `close ${many} as ${as}, as ${closing.operator}?`, options.yes);
  const targets = findings.map(({ id, kind, reference, orderId }) => ({ id, kind, reference, orderId }));
  const recorder = createRecorder(ops, 'reconcile --close', closing.operator);
  const shown = amountsOf(findings);
  return actOnAll(ops, { action: 'close', as, ...signature }, targets, options, (target) =>
    close({ db, recorder }, target, { ...closing, expectedAmount: shown.get(target.id) }),
  );
}

/** What the operator was shown before they were asked: nothing else is decided on. */
const amountsOf = (findings: { id: string; amount: number }[]): Map<string, number> =>
  new Map(findings.map(({ id, amount }) => [id, amount]));

/** A finding of its own, as the charge's and not only the order's. */
type FindingTarget = Pick<Finding, 'kind' | 'reference' | 'orderId'> & { id: string };

async function named({ out }: Ops, db: Database, ids: string[]): Promise<(Finding & { id: string })[]> {
  const findings = (await listFindings(db, { ids }, ids.length)).filter(isFinding);
  const known = new Set(findings.map(({ id }) => id));
  for (const id of ids) if (!known.has(id)) out.notice(`There is no finding ${id}.`);
  if (findings.length === 0) throw nothingMatched('None of these findings exists.');
  if (findings.length < ids.length) throw usage('Nothing was done, since some of these findings do not exist.');
  printFindings(out, findings);
  return findings;
}
const isFinding = (finding: Finding): finding is Finding & { id: string } => finding.id !== null;

/** Of other kinds the reconciler does not check whether the gateway has given the money back. */
function requireClosableAs(as: ClosedAs, findings: Finding[]): void {
  const unsuited = findings.find(({ kind }) => as === 'refunded' && !CLOSED_AS_REFUNDED.includes(kind));
  if (unsuited)
    throw usage(
      `Nothing was done: finding ${unsuited.id} is ${unsuited.kind}, and only ${CLOSED_AS_REFUNDED.join(', ')} are closed as refunded. Close it --as cancelled.`,
    );
}

/** Has the reconciler go on where it gave up. */
export async function refundFindings(ops: Ops, ids: string[], options: CloseOptions): Promise<ExitCode> {
  if (options.as !== undefined) throw usage('--as belongs to --close: --refund leaves the finding to the reconciler.');
  const signature = signatureOf(options, ops.config);
  const db = await ops.to.database();
  const findings = await named(ops, db, ids);
  const unsuited = findings.find(({ kind }) => !GIVEN_BACK_ON_WORD.includes(kind));
  if (unsuited)
    throw usage(`Nothing was done: finding ${unsuited.id} is ${unsuited.kind}, which no refund of ours settles.`);
  const many = `${findings.length} ${findings.length === 1 ? 'charge' : 'charges'}`;
  await askBefore(ops, `have ${many} given back, as ${signature.operator}?`, options.yes);
  const targets = findings.map(({ id, kind, reference, orderId }) => ({ id, kind, reference, orderId }));
  const recorder = createRecorder(ops, 'reconcile --refund', signature.operator);
  const shown = amountsOf(findings);
  return actOnAll(ops, { action: 'refund', ...signature }, targets, options, async ({ id, ...target }) => {
    const subject = { ...target, finding: id };
    try {
      const expectedAmount = shown.get(id);
      const isTaken = await recorder.act(db, refundOfFinding(id, { ...signature, expectedAmount }));
      if (isTaken) await requestReconciliation(db, target.orderId);
      const [now] = await listFindings(db, { ids: [id] });
      const result = now && resultOf(now, false, expectedAmount);
      return isTaken || !result
        ? { ...subject, outcome: 'done', state: 'refunding', message: beingGivenBack(id, target.kind) }
        : { ...subject, state: now.action, ...result };
    } catch (err) {
      return { ...subject, outcome: 'failed', state: null, message: sentenceOf(err) };
    }
  });
}

const beingGivenBack = (id: string, kind: Finding['kind']): string =>
  `finding ${id}: ${kind === 'UNMARKED_CHARGE' || kind === 'ORPHAN_CHARGE' ? 'the charge is being given back' : 'another refund is being made'}`;

/** @returns never throws for what concerns this finding alone */
async function close(
  { db, recorder }: { db: Database; recorder: Recorder },
  { id, ...target }: FindingTarget,
  closing: FindingClosure,
): Promise<ItemResult> {
  const subject = { ...target, finding: id };
  try {
    const isClosed = await recorder.act(db, closureOfFinding(id, closing));
    // The gateway is asked at once whether that is so.
    if (isClosed && closing.as === 'refunded') await requestReconciliation(db, target.orderId);
    const [now] = await listFindings(db, { ids: [id] });
    if (!now) throw new Error(`finding ${id} is gone: the two ledgers agree after all`);
    return { ...subject, state: now.action, ...resultOf(now, isClosed, closing.expectedAmount) };
  } catch (err) {
    return { ...subject, outcome: 'failed', state: null, message: sentenceOf(err) };
  }
}

function resultOf(now: Finding, isClosed: boolean, shown = now.amount): Pick<ItemResult, 'outcome' | 'message'> {
  const { id, kind, reference, action, amount, currency } = now;
  const name = `finding ${id} (${kind} ${reference})`;
  if (isClosed) return { outcome: 'done', message: `${name} is closed` };
  switch (action) {
    case 'waiting':
    case 'refunding':
    case 'cancelling':
      return { outcome: 'refused', message: `${name} is in hand: the reconciler goes on with it by itself` };
    case 'refunded':
    case 'cancelled':
      return { outcome: 'gone', message: `${name} was ${closingOf(now) ?? 'settled by the reconciler'}` };
    case 'reported':
      if (amount !== shown) {
        const then = money({ amount: shown, currency });
        return { outcome: 'failed', message: `${name} is about ${money(now)} now, not ${then}: look at it first` };
      }
      return { outcome: 'failed', message: `${name} has been reported again just now: look at it first` };
    default:
      throw new Error(`Bug! Unhandled action "${action satisfies never}"`);
  }
}
