/**
 * Which traces are recorded: by OTEL_TRACES_SAMPLER for those that begin here, by their beginning for all others. What a stranger has
 * begun is judged as if it began here, and not by its id, which the stranger has chosen; where strangers are heeded (`parentbased_…`),
 * those that ask to be recorded are, up to a few a second.
 */
import { trace } from '@opentelemetry/api';
import { type Sampler, SamplingDecision } from '@opentelemetry/sdk-trace-base';
import type { Teller } from './settings.js';

export const SAMPLERS = ['always_on', 'always_off', 'traceidratio'].flatMap((name) => [name, `parentbased_${name}`]);

/** Of a process. Some 5 kB each. */
const ASKED_PER_SECOND_MAX = 5;

type Settings = { OTEL_TRACES_SAMPLER: string; OTEL_TRACES_SAMPLER_ARG: string | undefined };

export function createSampler(
  { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: argument }: Settings,
  logger: Teller,
): {
  sampler: Sampler;
  samplesStranger: (isAsked: boolean) => boolean;
  /** Whether the span that is started next is recorded in any case. */
  recordNext: (isRecorded: boolean) => void;
} {
  const isKnown = SAMPLERS.includes(name);
  if (!isKnown) logger.warn(`OTEL_TRACES_SAMPLER is none of ${SAMPLERS.join(', ')}: parentbased_always_on is used`);
  const rate = isKnown ? ratioOf(name, argument, logger) : 1;
  const heedsStrangers = !isKnown || name.startsWith('parentbased_');
  const allow = createAllowance();
  const decide = (isSampled: boolean) => ({
    decision: isSampled ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD,
  });
  let isNextRecorded = false;
  return {
    recordNext: (isRecorded) => {
      isNextRecorded = isRecorded;
    },
    sampler: {
      shouldSample: (context, traceId) => {
        const parent = trace.getSpanContext(context);
        return decide(parent ? (parent.traceFlags & 1) === 1 : isNextRecorded || isWithin(traceId, rate));
      },
      toString: () => name,
    },
    samplesStranger: (isAsked) => Math.random() < rate || (isAsked && heedsStrangers && rate > 0 && allow()),
  };
}

function ratioOf(name: string, argument: string | undefined, logger: Teller): number {
  if (name.endsWith('always_on')) return 1;
  if (name.endsWith('always_off')) return 0;
  const ratio = Number(argument ?? 1);
  if (ratio >= 0 && ratio <= 1) return ratio;
  logger.warn('OTEL_TRACES_SAMPLER_ARG is not a number from 0 to 1: 1 is used');
  return 1;
}

/** By the last 48 bits, which are random: a saga without a trace has its order's id, which begins with a time. */
const isWithin = (traceId: string, rate: number): boolean =>
  rate >= 1 || Number.parseInt(traceId.slice(-12), 16) < rate * 2 ** 48;

function createAllowance(): () => boolean {
  let left = ASKED_PER_SECOND_MAX;
  let filledAtMs = performance.now();
  return () => {
    const nowMs = performance.now();
    left = Math.min(ASKED_PER_SECOND_MAX, left + ((nowMs - filledAtMs) / 1_000) * ASKED_PER_SECOND_MAX);
    filledAtMs = nowMs;
    if (left < 1) return false;
    left--;
    return true;
  };
}
