/** Putting on record, in the audit chain, what is decided: under the name of whoever has decided it, whichever process carries it out. */
import { type Actor, act, type Change, type Effect, recordAct } from '../../domain/audit/acts.js';
import type { AuditKeys } from '../../domain/audit/signatures.js';
import type { Database } from '../../domain/database.js';

export type Recorder = {
  /** Does a change and records it, or neither. @throws NotRecorded */
  act<T, B>(db: Database, change: Change<T, B>): Promise<T>;
  /** What Temporal is about to be sent. @throws NotRecorded: it must not be sent */
  announce(db: Database, effect: Effect): Promise<void>;
  /** What has come of it. */
  conclude(db: Database, effect: Effect): Promise<void>;
};

export function recorderFor(keys: AuditKeys, actor: Actor): Recorder {
  return {
    act: async (db, change) => (await act(db, keys, actor, change)).result,
    announce: async (db, effect) => {
      await recordAct(db, keys, 'act', actor, effect);
    },
    conclude: async (db, effect) => {
      await recordAct(db, keys, 'outcome', actor, effect);
    },
  };
}
