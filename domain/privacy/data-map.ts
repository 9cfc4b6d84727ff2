/**
 * The data map: what is kept of a person, where, why, on which legal basis, for how long, and how it is erased. The one table from
 * which docs/privacy.md is made (`npm run privacy-doc`). Tests hold it against the columns there are, the events' schemas, labels,
 * attributes and metadata, and against where words are found that were written into every field.
 */
import { EVENTS, GATEWAY, LOGS, METRICS, OTHERS, TEMPORAL } from './map/elsewhere.js';
import type { Store } from './map/kinds.js';
import { POSTGRES } from './map/postgres.js';

export const DATA_MAP: readonly { title: string; stores: readonly Store[] }[] = [
  { title: 'Postgres', stores: POSTGRES },
  { title: 'Events', stores: [EVENTS] },
  { title: 'Temporal', stores: [TEMPORAL] },
  { title: 'The payment provider', stores: [GATEWAY] },
  { title: 'Logs and metrics', stores: [LOGS, METRICS] },
  { title: 'Elsewhere', stores: OTHERS },
];

/** @returns the fields of a store that the map knows, in one list */
export const fieldsOf = ({ parts }: Store): string[] => parts.flatMap(({ fields }) => fields);
