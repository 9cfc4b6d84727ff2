/**
 * An operator's acts as spans, where `OTEL_…` asks for them as in the service: each a trace of its own with a link to the order's, as it
 * is of an act over HTTP. What an act writes and starts belongs to it.
 */
import type { Database } from '../domain/database.js';
import { readTraceOf } from '../domain/orders.js';
import { settings } from '../runtime/settings.js';
import { openTracing } from '../runtime/tracing/opened.js';
import { isTracing, traced } from '../runtime/tracing/spans.js';
import type { Item, ItemResult } from '../sagas/deciding/outcomes.js';
import type { Output } from './output.js';

/** The settings of traces, for the CLI's own table. */
export const TRACING = {
  OTEL_EXPORTER_OTLP_ENDPOINT: settings.OTEL_EXPORTER_OTLP_ENDPOINT,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
  OTEL_EXPORTER_OTLP_PROTOCOL: settings.OTEL_EXPORTER_OTLP_PROTOCOL,
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: settings.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
  OTEL_TRACES_EXPORTER: settings.OTEL_TRACES_EXPORTER,
  OTEL_SDK_DISABLED: settings.OTEL_SDK_DISABLED,
  OTEL_TRACES_SAMPLER: settings.OTEL_TRACES_SAMPLER,
  OTEL_TRACES_SAMPLER_ARG: settings.OTEL_TRACES_SAMPLER_ARG,
  OTEL_SERVICE_NAME: settings.OTEL_SERVICE_NAME,
};

/** @returns how what is collected is sent off; waits 2 s at most */
export function openOpsTracing(config: Omit<Parameters<typeof openTracing>[0], 'ROLE'>, out: Output) {
  const tell = (about: object | string, message?: string) => out.notice(message ?? `${about}`);
  return openTracing({ ...config, ROLE: 'ops' }, { warn: tell, info: tell });
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @param what as it is typed after `ops` */
export async function tracedAct<T extends Item>(
  { to }: { to: { database(): Promise<Database> } },
  what: string,
  target: T,
  act: (target: T) => Promise<ItemResult>,
): Promise<ItemResult> {
  if (!isTracing()) return act(target);
  const { orderId } = target;
  const theirs = await readTraceOf(await to.database(), orderId).catch(() => null);
  return traced(`ops ${what}`, { parent: null, links: theirs === null ? [] : [theirs] }, async (span) => {
    if (UUID.test(orderId)) span?.set({ 'order_saga.order_id': orderId }); // else it is what the gateway's ledger says
    const result = await act(target);
    span?.set({ 'order_saga.outcome': result.outcome });
    return result;
  });
}
