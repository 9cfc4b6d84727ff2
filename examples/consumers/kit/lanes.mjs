/**
 * Lanes: orders side by side, each order's events one after another. What is in hand is bounded: whoever reads messages waits for
 * room before reading on, and that is the back-pressure.
 */
import pLimit from 'p-limit';

export function createLanes({ CONCURRENCY, BATCH }) {
  const limit = pLimit(CONCURRENCY);
  const lasts = new Map();
  const inHand = new Set();
  let waiting = [];
  const wake = () => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  const until = async (isSo) => {
    while (!isSo()) await new Promise((resolve) => waiting.push(resolve));
  };
  return {
    /** @param lane the subject; undefined = a lane of its own. @param time of the event, for the lag. @returns what `work` returns */
    run(lane, time, work) {
      const entry = { time };
      inHand.add(entry);
      const before = lasts.get(lane) ?? Promise.resolve();
      const mine = before.then(() => limit(work));
      const settled = mine.then(ignore, ignore).then(() => {
        inHand.delete(entry);
        if (lasts.get(lane) === settled) lasts.delete(lane);
        wake();
      });
      if (lane !== undefined) lasts.set(lane, settled);
      return mine;
    },
    inHand: () => inHand.size,
    isFull: () => inHand.size >= BATCH,
    /** Resolves when another message may be taken. */
    room: () => until(() => inHand.size < BATCH),
    /** Resolves when nothing is in hand. */
    idle: () => until(() => inHand.size === 0),
    /** @returns the time of the oldest event in hand, in ms; undefined if there is none */
    oldestMs() {
      const times = [...inHand].map(({ time }) => Date.parse(time)).filter((ms) => !Number.isNaN(ms));
      return times.length === 0 ? undefined : Math.min(...times);
    },
  };
}

const ignore = () => undefined;
