/**
 * Turns: only some requests of one caller are worked on at a time; its others wait here in the order of their arrival, in
 * memory, where they cost next to nothing. So a caller's hundred requests delay another caller's one by those few, not by all.
 */
type Line = { working: number; waiting: Set<() => void> };

export type Turns = {
  /**
   * @param begin is called when it is this request's turn, at once or later
   * @param giveUp is called instead if its turn does not come in time
   * @returns ends the turn, or the wait for it
   */
  take(caller: string, atATime: number, begin: () => void, giveUp: () => void): () => void;
};

export function createTurns(waitMaxMs: number): Turns {
  const lines = new Map<string, Line>();
  const end = (caller: string, line: Line) => {
    const [next] = line.waiting;
    if (next) return next(); // the turn is handed on: as many work as before
    line.working--;
    if (line.working === 0) lines.delete(caller);
  };
  return {
    take: (caller, atATime, begin, giveUp) => {
      const line = lines.get(caller) ?? { working: 0, waiting: new Set() };
      lines.set(caller, line);
      if (line.working < atATime) {
        line.working++;
        begin();
        return () => end(caller, line);
      }
      let finish = () => {
        clearTimeout(late);
        line.waiting.delete(mine);
      };
      const mine = () => {
        finish();
        finish = () => end(caller, line);
        begin();
      };
      const late = setTimeout(() => {
        line.waiting.delete(mine);
        finish = () => undefined;
        giveUp();
      }, waitMaxMs);
      line.waiting.add(mine);
      return () => finish();
    },
  };
}
