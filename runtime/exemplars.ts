/**
 * Exemplars: of each bucket of a histogram one trace that fell into it. Prometheus asks for them by the content type of OpenMetrics
 * (runtime/metrics), which is offered where traces are. They add no series.
 */
import type { Histogram, Registry } from 'prom-client';

type Labels = Record<string, string | number>;
/** Not in the library's types. */
type Exemplary = { updateExemplar(labels: Labels, value: number, exemplar: Labels): void };

/** @param histogram made with `enableExemplars` @param traceId of a trace that is recorded; undefined = of none */
export function observeTraced(histogram: Histogram, labels: Labels, value: number, traceId: string | undefined): void {
  histogram.labels(labels).observe(value);
  if (traceId !== undefined) (histogram as unknown as Exemplary).updateExemplar(labels, value, { trace_id: traceId });
}

export const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** The registry as OpenMetrics; must not overlap with another reading of it. The library renames counters for that, which is taken back. */
export async function asOpenMetrics(registry: Registry, others: string[]): Promise<string> {
  const metrics = registry.getMetricsAsArray() as unknown as { name: string }[];
  const names = metrics.map(({ name }) => name);
  const switchable = registry as unknown as { setContentType(type: string): void };
  switchable.setContentType(OPEN_METRICS);
  try {
    const text = (await registry.metrics()).replace(/# EOF\n$/, '');
    return `${text}${others.map(familyNames).join('')}# EOF\n`;
  } finally {
    switchable.setContentType(TEXT);
    metrics.forEach((metric, place) => {
      metric.name = names[place] ?? metric.name;
    });
  }
}

/** A counter's family is called without the ending of its samples. */
const familyNames = (text: string): string => text.replace(/^(# (?:HELP|TYPE) \w+)_total /gm, '$1 ');
