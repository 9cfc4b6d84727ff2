/** StuckList sagas, as `stuck` lists them and the bulk commands choose from them. */
import type { StuckSaga } from '../domain/stuck-sagas.js';
import { findStuck, type StuckList } from '../sagas/stuck.js';
import type { Ops } from './command.js';
import { policyOf } from './connections.js';

export type StuckFilter = { step?: string; failure?: string };

const LIST_LIMIT_MS = 30_000;
/** A person can wait some seconds, and wants to see all. */
const WAITING_MAX = 10_000;

/** @returns oldest first, dearest first among those of one minute; `more` = there are too many to see all */
export async function listStuck({ to, config }: Pick<Ops, 'to' | 'config'>, filter: StuckFilter): Promise<StuckList> {
  const [{ client }, db] = await Promise.all([to.temporal(), to.database()]);
  const { sagas, more } = await client.withDeadline(Date.now() + LIST_LIMIT_MS, () =>
    findStuck(db, client, policyOf(config), WAITING_MAX),
  );
  return { sagas: sagas.filter((saga) => matches(saga, filter)), more };
}

const matches = ({ step, failure }: StuckSaga, filter: StuckFilter): boolean =>
  (filter.step === undefined || filter.step === step) && (filter.failure === undefined || filter.failure === failure);
