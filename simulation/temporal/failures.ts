/** Failures, from what the simulation keeps of them to what the SDK reads, and back. */
import type { Failure, TimeoutType } from './events.js';
import { fromPayload, type Payload, toPayload } from './payloads.js';

const TIMEOUTS: Record<TimeoutType, number> = { START_TO_CLOSE: 1, SCHEDULE_TO_START: 2, SCHEDULE_TO_CLOSE: 3 };

export function toProto(failure: Failure): unknown {
  const { cause, applicationFailureInfo: application, timeoutFailureInfo: timeout } = failure;
  return {
    message: failure.message,
    source: failure.source ?? '',
    stackTrace: '',
    ...(cause && { cause: toProto(cause) }),
    ...(application && {
      applicationFailureInfo: {
        type: application.type,
        nonRetryable: application.nonRetryable ?? false,
        details: { payloads: (application.details ?? []).map(toPayload) },
      },
    }),
    ...(timeout && { timeoutFailureInfo: { timeoutType: TIMEOUTS[timeout.timeoutType] } }),
    ...(failure.canceledFailureInfo && { canceledFailureInfo: {} }),
    ...(failure.activityFailureInfo && {
      activityFailureInfo: {
        activityType: { name: failure.activityFailureInfo.activityType },
        activityId: failure.activityFailureInfo.activityId,
      },
    }),
  };
}

type ProtoFailure = {
  message?: string;
  cause?: ProtoFailure;
  applicationFailureInfo?: { type?: string; nonRetryable?: boolean; details?: { payloads?: Payload[] } };
};

export function fromProto({ message = '', cause, applicationFailureInfo: application }: ProtoFailure): Failure {
  return {
    message,
    ...(cause && { cause: fromProto(cause) }),
    ...(application && {
      applicationFailureInfo: {
        type: application.type ?? '',
        nonRetryable: application.nonRetryable ?? false,
        details: (application.details?.payloads ?? []).map(fromPayload),
      },
    }),
  };
}

type Which = { seq: number; name: string };
const about = ({ seq, name }: Which) => ({ activityFailureInfo: { activityType: name, activityId: `${seq}` } });

/** As Core hands over what became of an ordinary activity, and of a local one that ran out of time. */
export const failed = (which: Which, cause: Failure): Failure => ({
  message: 'Activity task failed',
  cause,
  ...about(which),
});
export const timedOut = (which: Which, cause: Failure): Failure => ({
  message: 'Activity task timed out',
  cause,
  ...about(which),
});
export const canceled = (which: Which): Failure => ({
  message: 'Activity cancelled',
  cause: { message: 'Activity cancelled', canceledFailureInfo: {} },
  ...about(which),
});
const SAID: Record<TimeoutType, string> = {
  START_TO_CLOSE: 'StartToClose',
  SCHEDULE_TO_CLOSE: 'ScheduleToClose',
  SCHEDULE_TO_START: 'ScheduleToStart',
};
export const timeout = (timeoutType: TimeoutType, lastFailure?: Failure): Failure => ({
  message: `activity ${SAID[timeoutType]} timeout`,
  ...(lastFailure && { cause: lastFailure }),
  timeoutFailureInfo: { timeoutType },
});
