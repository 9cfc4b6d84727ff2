/** Tells Temporal's own failures from its answers. */
import { isGrpcServiceError } from '@temporalio/client';

/** Whether this says something about Temporal, and nothing about the order. */
export const isAway = (err: unknown): boolean =>
  [err, (err as Error | undefined)?.cause].some((e) => isGrpcServiceError(e) && AWAY.has(e.code));
/**
 * gRPC's DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED and UNAVAILABLE; and CANCELLED, as the CLI's kind of connection calls a deadline of
 * ours that has passed. https://grpc.io/docs/guides/status-codes/
 */
const AWAY = new Set([1, 4, 8, 14]);
