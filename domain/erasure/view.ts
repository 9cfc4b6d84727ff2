/** An erasure as it is told: by the API and by the CLI. */
import {
  type ErasedCounts,
  type ErasureState,
  type HeldOrder,
  KEPT,
  type Kept,
  type Stall,
} from '../../contracts/erasures.js';
import type { Statements } from '../database.js';
import { type Certificate, type CertificateKeys, certificateOf } from './certificate.js';
import type { Erasure } from './erasures.js';

export type ErasureView = {
  id: string;
  state: ErasureState;
  requestedAt: string;
  requestedBy: string;
  reason: string;
  /** By when it must be done. */
  dueAt: string;
  finishedAt: string | null;
  /** false: nobody was known by the id that was given, or not any more. */
  found: boolean;
  customerReference: string | null;
  waitingFor: HeldOrder[];
  waitingForCount: number;
  /** What was away at the last look; it goes on when that is back. */
  stalledBy: Stall | null;
  report: { erased: ErasedCounts; kept: Kept[] } | null;
  certificate: Certificate | null;
};

export async function viewOf(
  db: Statements,
  keys: CertificateKeys,
  erasure: Erasure,
  deadlineMs: number,
): Promise<ErasureView> {
  const { id, state, requestedAt, requestedBy, reason, doneAt, reference, waitingFor, waitingCount, counts } = erasure;
  return {
    ...{ id, state, requestedAt: requestedAt.toISOString(), requestedBy, reason },
    dueAt: new Date(requestedAt.getTime() + deadlineMs).toISOString(),
    finishedAt: doneAt?.toISOString() ?? null,
    found: reference !== null,
    customerReference: reference,
    waitingFor,
    waitingForCount: waitingCount,
    stalledBy: erasure.stalledBy,
    report: doneAt === null ? null : { erased: counts, kept: KEPT },
    certificate: await certificateOf(db, keys, erasure),
  };
}
