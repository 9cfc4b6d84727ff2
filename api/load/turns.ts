/**
 * Turns: only some requests of one caller are worked on at a time; its others wait here in the order of their arrival, in
 * memory, where they cost next to nothing. So a caller's hundred requests delay another caller's one by those few, not by all.
 */
type Line = { working: number; waiting: Set<() => void> };

/** `end`: of the turn, or of the wait for it. */
export type Turn = { isNow: boolean; end(): void };

export type Turns = {
  /**
   * @param begin is called when the turn comes, unless it is now
   * @param giveUp is called instead if it does not come in time
   */
  take(caller: string, atATime: number, begin: () => void, giveUp: () => void): Turn;
};

export function createTurns(waitMaxMs: number): Turns {
  const lines = new Map<string, Line>();
  const finish = (caller: string, line: Line) => {
    const [next] = line.waiting;
    if (next) return next(); // the turn is handed on: as many are worked on as before
    line.working--;
    if (line.working === 0) lines.delete(caller);
  };
  return {
    take: (caller, atATime, begin, giveUp) => {
      const line = lines.get(caller) ?? { working: 0, waiting: new Set() };
      lines.set(caller, line);
      let state: 'waits' | 'works' | 'over' = line.working < atATime ? 'works' : 'waits';
      const isNow = state === 'works';
      const leave = () => {
        clearTimeout(late);
        line.waiting.delete(come);
      };
      const come = () => {
        leave();
        state = 'works';
        // Not in the stack of the request that ends: a line of refused ones would be worked off in a single one.
        setImmediate(() => {
          if (state === 'works') begin();
        });
      };
      const late = isNow
        ? undefined
        : setTimeout(() => {
            leave();
            state = 'over';
            giveUp();
          }, waitMaxMs);
      if (isNow) line.working++;
      else line.waiting.add(come);
      return {
        isNow,
        end: () => {
          const before = state;
          state = 'over';
          if (before === 'waits') leave();
          if (before === 'works') finish(caller, line);
        },
      };
    },
  };
}
