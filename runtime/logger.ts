/**
 * One JSON line per fact, to stdout; on a terminal a line for people instead. No personal data: log ids, never names, addresses, cards or free text of clients. Errors are
 * described (runtime/errors), under whatever name they are logged and by whichever library.
 */
import { createRequire } from 'node:module';
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import { describeError, isDescribed, isError, sentenceOf } from './errors/facts.js';
import { withoutSecrets } from './errors/scrub.js';
import { openLogStream } from './log-stream.js';
import { activeTraceId } from './tracing/spans.js';

/** Of a request, what our routes are; a path or a query may be anything. */
const ofRequest = ({ method, routeOptions }: { method?: string; routeOptions?: { url?: string } }) => ({
  method,
  route: routeOptions?.url,
});
const serializers = { err: describeError, req: ofRequest };

/**
 * @param name   which process speaks, e.g. `api`
 * @param level  a pino level: fatal, error, warn, info, debug, trace or silent
 * @param format `auto` = for people if stdout is a terminal; programs read pipes and files, and get JSON
 */
export function createLogger(name: string, level: string, format: 'auto' | 'json' = 'auto'): Logger {
  const options = { ...SAFE, name, level, base: { pid: process.pid } };
  const logger = format === 'auto' && process.stdout.isTTY ? pino(options, forPeople()) : pino(options, openLogStream());
  // Fastify gives its own loggers the standard serializers, unless the logger that it is given names others.
  return Object.assign(logger, { serializers });
}

/** Loaded here, for terminals alone. A line is the JSON that it would be elsewhere, without secrets (`streamWrite`). */
function forPeople(): DestinationStream {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  const readable = prettyFactory({ singleLine: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid' });
  return { write: (line) => void process.stdout.write(readable(line)) };
}

/** Exported for its test. */
export const SAFE = {
  formatters: {
    level: (label) => ({ level: label }),
    log: (about) => Object.fromEntries(Object.entries(about).map(([key, value]) => [key, described(value, DEPTH_MAX)])),
  },
  timestamp: () => `,"time":"${new Date().toISOString()}"`,
  serializers,
  mixin: () => {
    const traceId = activeTraceId();
    return traceId === undefined ? {} : { traceId };
  },
  hooks: {
    logMethod(args, method) {
      method.apply(this, withoutForeignMessage(args as unknown[]) as Parameters<typeof method>);
    },
    streamWrite: withoutSecrets,
  },
  // None of these should be logged in the first place.
  redact: ['req.headers.authorization', 'req.headers.cookie', 'paymentMethod', '*.paymentMethod'],
} satisfies LoggerOptions;

/** An error deeper inside than this is an accident, whose own properties JSON would show. */
const DEPTH_MAX = 3;

function described(value: unknown, depth: number): unknown {
  if (isError(value) || isDescribed(value)) return describeError(value);
  if (depth === 0 || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => described(each, depth - 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, described(each, depth - 1)]));
}

/** Of a line without a message of its own, pino makes the error's; and libraries pass that one on. */
function withoutForeignMessage(args: unknown[]): unknown[] {
  const [about, message, ...rest] = args;
  const error = isError(about) ? about : (about as { err?: unknown } | null | undefined)?.err;
  if (!isError(error)) return args;
  const isForeign =
    message === undefined || (typeof message === 'string' && error.message !== '' && message.includes(error.message));
  return [isError(about) ? { err: about } : about, isForeign ? sentenceOf(error) : message, ...rest];
}
