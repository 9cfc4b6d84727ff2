/**
 * Parts of a piece of work end before it does. They are handed on when it has ended, so that a process that is killed leaves
 * no part whose whole nobody ever sees.
 */
import { trace } from '@opentelemetry/api';
import type { ReadableSpan, Span, SpanProcessor } from '@opentelemetry/sdk-trace-base';

/** What one process does of a trace in one go. */
type Tree = { root: object; isDone: boolean; held: ReadableSpan[] };
/** More parts than these are handed on at once: memory counts more. */
const HELD_MAX = 256;

export function wholeTreesFirst(next: SpanProcessor): SpanProcessor {
  const trees = new WeakMap<object, Tree>();
  return {
    onStart: (span: Span, context) => {
      const parent = trace.getSpan(context);
      const tree = (parent && trees.get(parent)) ?? { root: span, isDone: false, held: [] };
      trees.set(span, tree);
      next.onStart(span, context);
    },
    onEnd: (span) => {
      const tree = trees.get(span);
      if (!tree || tree.isDone || (tree.root !== span && tree.held.length >= HELD_MAX)) return next.onEnd(span);
      if (tree.root !== span) return void tree.held.push(span);
      tree.isDone = true;
      next.onEnd(span);
      for (const part of tree.held) next.onEnd(part);
      tree.held = [];
    },
    forceFlush: () => next.forceFlush(),
    shutdown: () => next.shutdown(),
  };
}
