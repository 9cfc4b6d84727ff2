/** A collector that does not take spans is reported once, and once that it does again. Nothing but spans is lost meanwhile. */
import type { SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { Teller } from './settings.js';

/** https://github.com/open-telemetry/opentelemetry-js `ExportResultCode.SUCCESS` */
const SUCCESS = 0;

export function reportingExporter(exporter: SpanExporter, logger: Teller): SpanExporter {
  let isFailing = false;
  return {
    export: (spans, done) => {
      exporter.export(spans, (result) => {
        const fails = result.code !== SUCCESS;
        if (fails && !isFailing)
          logger.warn({ err: result.error }, 'traces are lost: the collector does not take them');
        if (!fails && isFailing) logger.info('the collector takes traces again');
        isFailing = fails;
        done(result);
      });
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}
