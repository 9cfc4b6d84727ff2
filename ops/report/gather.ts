/** Gathers a report from its slices (domain/report). */
import type { Database } from '../../domain/database.js';
import {
  type ActEntry,
  type CompensationCount,
  countCompensations,
  countFindingsOf,
  countOutcomes,
  type DecisionEntry,
  type FindingCount,
  idsOf,
  listActs,
  listDecisions,
  type OutcomeCount,
  type Span,
  withOrders,
} from '../../domain/report.js';

export type Report = {
  orders: OutcomeCount[];
  compensations: CompensationCount[];
  decisions: DecisionEntry[];
  acts: ActEntry[];
  findings: FindingCount[];
};

/** A statement has 4 s: each slice takes a fraction of one on a busy day. */
const SLICE_MS = 6 * 3_600_000;
const SLICE_IDS = 50_000n;
const PAGE = 1_000;

export async function gatherReport(db: Database, span: Span): Promise<Report> {
  const log = await gatherLog(db, span);
  return {
    orders: await gatherOutcomes(db, span),
    ...log,
    acts: await gatherActs(db, span),
    findings: await countFindingsOf(db, span),
  };
}

async function gatherOutcomes(db: Database, span: Span): Promise<OutcomeCount[]> {
  const { fromMs, toMs } = await withOrders(db, span);
  const sums = new Map<string, OutcomeCount>();
  for (let at = fromMs; at < toMs; at += SLICE_MS) {
    const slice = { fromMs: at, toMs: Math.min(at + SLICE_MS, toMs) };
    for (const one of await countOutcomes(db, slice)) {
      const key = JSON.stringify([one.status, one.reason, one.isUnwinding, one.currency]);
      const sum = sums.get(key);
      if (sum) {
        sum.count += one.count;
        sum.amount += one.amount;
      } else sums.set(key, { ...one });
    }
  }
  return [...sums.values()].sort((a, b) => b.count - a.count);
}

async function gatherLog(db: Database, span: Span): Promise<Pick<Report, 'compensations' | 'decisions'>> {
  const sums = new Map<string, CompensationCount>();
  const decisions: DecisionEntry[] = [];
  const { fromId, toId } = await idsOf(db, 'saga_log', span);
  for (let at = fromId; at < toId; at += SLICE_IDS) {
    const ids = { fromId: at, toId: at + SLICE_IDS < toId ? at + SLICE_IDS : toId };
    decisions.push(...(await listDecisions(db, ids, span)));
    for (const one of await countCompensations(db, ids, span)) {
      const key = `${one.step} ${one.outcome}`;
      const sum = sums.get(key) ?? { ...one, count: 0 };
      sums.set(key, {
        ...sum,
        count: sum.count + one.count,
        attemptsMax: Math.max(sum.attemptsMax, one.attemptsMax),
      });
    }
  }
  return { compensations: [...sums.values()].sort((a, b) => b.count - a.count), decisions };
}

async function gatherActs(db: Database, span: Span): Promise<ActEntry[]> {
  const acts: ActEntry[] = [];
  const { fromId: firstId, toId } = await idsOf(db, 'audit_acts', span);
  for (let fromId = firstId; ; ) {
    const page = await listActs(db, { fromId, toId }, span, PAGE);
    acts.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return acts;
    fromId = last.id + 1n;
  }
}
