/** Probes of the operators' doctor (ops/doctor): orders that come to nothing, and that reports and counts of orders leave out. */
import { Prisma } from '../prisma/generated/client.js';

/** Consumers of events know a probe by it. */
export const PROBE_CUSTOMER = 'ops-doctor';

export const probeCorrelationId = (orderId: string): string => `${PROBE_CUSTOMER}-${orderId}`;

/** Of the order `o`: nobody knows an order's id beforehand, to have it in the correlation id. */
export const isProbe = Prisma.sql`(o.correlation_id = ${PROBE_CUSTOMER}::text || '-' || o.id::text)`;
