/**
 * What the console's buttons do on a laptop, so that durability is seen in a minute. Each says what it has done, takes itself back after a
 * while, and nothing of it outlives the launcher. What there is to press stands in buttons.ts.
 */
import { type Beginning, type Button, buttonsOf, type Stage } from './buttons.js';
import type { Demonstration } from './demonstration.js';
import type { Receiver } from './receiver.js';

/** What is asked for is answered before it takes effect: the API that passes the answer on may be about to stand still. */
const ANSWERED_MS = 300;
const TOLD_MAX = 10;

/** What is on just now, and until when. */
export type Fault = { id: string; says: string; until: string };
export type DemoState = {
  buttons: Omit<Button, 'isThere' | 'press'>[];
  faults: Fault[];
  told: { at: string; says: string }[];
};
export type DemoActs = {
  state(): DemoState;
  /** @returns what it is about to do; undefined = there is no such button now */
  press(id: string): string | undefined;
  /** Takes back what is on. */
  stop(): Promise<void>;
};

export function createActs(demo: Demonstration, receiver: Receiver): DemoActs {
  const running = new Map<string, Beginning & Fault & { timer: NodeJS.Timeout }>();
  const told: DemoState['told'] = [];
  const tell = (says: string) => {
    told.unshift({ at: new Date().toISOString(), says });
    told.splice(TOLD_MAX);
  };
  const failed = (what: string) => (err: unknown) => tell(`${what} did not work: ${(err as Error).message}`);
  const stage: Stage = {
    isOn: (id) => running.has(id),
    begin: (fault) => {
      const timer = setTimeout(() => void stage.end(fault.id, 'by itself').catch(failed(fault.over)), fault.forMs);
      running.set(fault.id, { ...fault, until: new Date(Date.now() + fault.forMs).toISOString(), timer });
    },
    end: async (id, why) => {
      const fault = running.get(id);
      if (!fault) return;
      running.delete(id);
      clearTimeout(fault.timer);
      await fault.undo();
      tell(`${fault.over} (${why})`);
    },
    later: (what, work) => {
      setTimeout(() => void work().then(tell, failed(what)), ANSWERED_MS);
      return what;
    },
  };
  const buttons = buttonsOf(stage, demo, receiver);
  const there = () => buttons.filter(({ isThere }) => isThere());
  return {
    state: () => ({
      buttons: there().map(({ id, label, says }) => ({ id, label, says })),
      faults: [...running.values()].map(({ id, says, until }) => ({ id, says, until })),
      told,
    }),
    press: (id) =>
      there()
        .find((button) => button.id === id)
        ?.press(),
    stop: async () => {
      for (const id of [...running.keys()]) await stage.end(id, 'with everything else').catch(failed(id));
    },
  };
}
