/** What happened to an order, oldest first; the log and the events tell the same deeds from two sides. */
import { isVouched } from '../domain/reconciliation-findings.js';
import { UNDOS } from '../contracts/plan.js';
import { type GatewayView, type HeldCharge, movementsOf } from './gateway-view.js';
import type { LogEntry, OrderRow } from './order-row.js';

export type Happening = { at: string; source: 'row' | 'log' | 'event' | 'gateway' | 'finding'; what: string };

/** What a step or undo came to. An undo's own outcome is not `undone`: the refund is done, and the cancel is. */
export const outcomeWord = (step: string, outcome: string): string =>
  outcome === 'undone' && UNDOS.some((undo) => undo === step) ? 'done' : outcome.replaceAll('-', ' ');

/** The gateway's clock counts whole seconds: what it dates less than one before its cause was after that. */
export const afterAct = (at: string, since: string): string =>
  at < since && Date.parse(since) - Date.parse(at) < 1_000 ? since : at;

/** @returns the earliest moment at which a charge of the order can have been made */
export const chargeableFrom = (row: OrderRow): string =>
  row.log.find(({ step, outcome }) => step === 'reserveInventory' && outcome !== 'refused')?.at ?? row.createdAt;

const CHARGE_STATES: Record<HeldCharge['state'], string> = {
  succeeded: 'charge succeeded',
  processing: 'charge is being processed',
  open: 'charge is open, and may still be completed',
  over: 'charge took nothing, and never will',
};

export function happenedOf(row: OrderRow, gateway: GatewayView): Happening[] {
  const happened: Happening[] = [
    { at: row.createdAt, source: 'row', what: 'accepted' },
    ...begun(row),
    ...row.log.map(({ at, ...entry }): Happening => ({ at, source: 'log', what: logged(entry) })),
    ...row.events.map(({ at, type, sequence }): Happening => ({ at, source: 'event', what: `${sequence} ${type}` })),
    ...row.findings.flatMap((finding): Happening[] => {
      if (isVouched(finding)) return []; // the log has it, as the step that was skipped
      const { at, kind, action, reference } = finding;
      return [{ at: at.toISOString(), source: 'finding', what: `${kind} at ${reference || 'no charge'}: ${action}` }];
    }),
    ...(gateway.asked ? gateway.charges : []).map((charge): Happening => {
      const { at, reference, state } = charge;
      const what = `${CHARGE_STATES[state]}: ${movementsOf(charge)} (${reference})`;
      return { at: afterAct(at, chargeableFrom(row)), source: 'gateway', what };
    }),
  ];
  return happened.toSorted((a, b) => a.at.localeCompare(b.at));
}

/** Of a confirmed order that is taken back it is the second saga's. */
function begun({ sagaStartedAt, log }: OrderRow): Happening[] {
  if (sagaStartedAt === null) return [];
  const isBack = log.some(({ step, at }) => step === 'unwinding' && at < sagaStartedAt);
  return [
    {
      at: sagaStartedAt,
      source: 'row',
      what: `${isBack ? 'the saga that takes it back' : 'its saga'} was seen to begin`,
    },
  ];
}

function logged({ step, outcome, actor, detail }: Omit<LogEntry, 'at'>): string {
  const by = actor === null ? '' : ` by ${actor}`;
  const more = detail === null ? '' : ` (${detail})`;
  if (step === 'unwinding') return `to be given up: ${outcome}${by}${more}`;
  if (step === 'resolve') return `decided: ${outcome}${by}${more}`;
  return `${step}: ${outcomeWord(step, outcome)}${by}${more}`;
}
