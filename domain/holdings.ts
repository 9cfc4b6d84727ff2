/**
 * What an order holds, asked as the plan says it (contracts/plan): an order is not cancelled while it holds anything, and no step takes
 * effect unless what the steps before it hold is there. A saga goes on from its history; a database that was restored, or whose
 * asynchronous standby was promoted, may have lost what that history tells of.
 */
import { HOLDINGS, type Holding, PLAN, type PlannedStep, type SagaPlan, stepsOf } from '../contracts/plan.js';
import { Prisma } from '../prisma/generated/client.js';
import type { Statements } from './database.js';

/** Its name is public: the type of failure that the saga is marked with. */
export class HoldingLost extends Error {
  override name = 'HoldingLost';
  constructor(orderId: string, steps: readonly string[]) {
    super(
      `What ${steps.join(', ')} did for order ${orderId} is not in the database: ` +
        'was it restored, or failed over? Run `ops after-restore`: it lists the order, and begins its saga anew',
    );
  }
}

/** Whether what the plan's step leaves behind is there, of the order `o`. */
const isHeld = ({ table, column, held }: Holding) => Prisma.sql`EXISTS (
  SELECT FROM ${Prisma.raw(table)} h WHERE h.order_id = o.id AND h.${Prisma.raw(column)} IN (${Prisma.join([...held])}))`;

export const holdsNothing = (holdings: readonly Holding[]): Prisma.Sql =>
  Prisma.join(
    holdings.map((holding) => Prisma.sql`NOT ${isHeld(holding)}`),
    ' AND ',
  );

/** @returns the tables in which the order holds something */
export async function readHeld(
  db: Statements,
  orderId: string,
  holdings: readonly Holding[] = HOLDINGS,
): Promise<string[]> {
  const answers = holdings.map((holding) => Prisma.sql`CASE WHEN ${isHeld(holding)} THEN ${holding.table}::text END`);
  const [row] = await db.$queryRaw<{ tables: string[] }[]>`
    SELECT array_remove(ARRAY[${Prisma.join(answers)}], NULL) AS tables FROM orders o WHERE o.id = ${orderId}::uuid`;
  return row?.tables ?? [];
}

type HoldingStep = PlannedStep & { holds: Holding };

function holdingBefore(name: string, plan: SagaPlan): HoldingStep[] {
  const all = stepsOf(plan);
  const at = all.findIndex((step) => step.name === name);
  if (at === -1) throw new Error(`Bug! ${name} is no step of the plan`);
  return all.slice(0, at).filter((step): step is HoldingStep => step.holds !== undefined);
}

/** Of the order `o`: the step's holding is there, an operator has vouched for the step, or the order's plan is older than it. */
const isDone = ({
  name,
  since,
  holds,
}: HoldingStep): Prisma.Sql => Prisma.sql`(${isHeld(holds)} OR o.plan_version < ${since}::int
  OR EXISTS (SELECT FROM saga_log s WHERE s.order_id = o.id AND s.step = ${name} AND s.outcome = 'skipped'))`;

/** A condition for the statement of a step, on the order `o`: what the steps before it hold is there. */
export const standsOnEarlier = (name: string, plan: SagaPlan = PLAN): Prisma.Sql =>
  Prisma.join([Prisma.sql`true`, ...holdingBefore(name, plan).map(isDone)], ' AND ');

/** An expression over the order `o`: the names of the steps before this one whose holdings are not there. */
export const lostBefore = (name: string, plan: SagaPlan = PLAN): Prisma.Sql => {
  const lost = holdingBefore(name, plan).map((step) => Prisma.sql`CASE WHEN NOT ${isDone(step)} THEN ${step.name} END`);
  return lost.length === 0
    ? Prisma.sql`ARRAY[]::text[]`
    : Prisma.sql`array_remove(ARRAY[${Prisma.join(lost)}]::text[], NULL)`;
};

/** For a step whose statement found nothing to do. @throws HoldingLost if what an earlier step holds is not there */
export async function requireEarlier(
  db: Statements,
  orderId: string,
  name: string,
  plan: SagaPlan = PLAN,
): Promise<void> {
  const [row] = await db.$queryRaw<{ lost: string[] }[]>`
    SELECT ${lostBefore(name, plan)} AS lost FROM orders o WHERE o.id = ${orderId}::uuid`;
  if (row && row.lost.length > 0) throw new HoldingLost(orderId, row.lost);
}
