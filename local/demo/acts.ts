/**
 * What the console's buttons do on a laptop, so that durability is seen in a minute: the gateway goes down, sagas stand still, a receiver
 * rejects events, orders come in. Each says what it has done, takes itself back after a while, and nothing of it outlives the launcher.
 */
import type { Demonstration } from './demonstration.js';
import { DEMO_DESTINATION, type Receiver } from './receiver.js';

/** Long enough to see sagas park, and well within their deadline. */
const GATEWAY_DOWN_MS = 120_000;
/** Where nothing but workers stands still, and where the page's own API does, too. */
const FROZEN_MS = { workers: 60_000, everything: 15_000 };
/** After which the receiver takes what it has rejected, so that a replay gets through. */
const REJECTING_MS = 120_000;
const ORDERS = 20;
const REJECTED_ORDERS = 8;
/** What is asked for is answered before it takes effect: the API that passes the answer on may be about to stand still. */
const ANSWERED_MS = 300;

export type Button = { id: string; label: string; says: string };
/** What is on just now, until when, and how it ends sooner. */
export type Fault = { id: string; says: string; until: string; end?: Button };
export type DemoState = { buttons: Button[]; faults: Fault[]; told: { at: string; says: string }[] };

export type DemoActs = {
  state(): DemoState;
  /** @returns what it is about to do; undefined = there is no such button now */
  press(id: string): string | undefined;
  /** Takes back what is on. */
  stop(): Promise<void>;
};

type Running = Fault & { timer: NodeJS.Timeout; undo: () => void | Promise<void> };
const TOLD_MAX = 10;

export function createActs(demo: Demonstration, receiver: Receiver): DemoActs {
  const running = new Map<string, Running>();
  const told: DemoState['told'] = [];
  const tell = (says: string) => {
    told.unshift({ at: new Date().toISOString(), says });
    told.splice(TOLD_MAX);
  };
  const failed = (what: string) => (err: unknown) => tell(`${what} did not work: ${(err as Error).message}`);

  /** Takes it back once, by whichever comes first: its time, a button, the launcher's end. */
  const end = async (id: string, why: string) => {
    const fault = running.get(id);
    if (!fault) return;
    running.delete(id);
    clearTimeout(fault.timer);
    await fault.undo();
    tell(`${fault.end?.says ?? fault.id} (${why})`);
  };
  const begin = (fault: Omit<Fault, 'until'>, forMs: number, undo: Running['undo']) => {
    const timer = setTimeout(() => void end(fault.id, 'by itself').catch(failed(fault.id)), forMs);
    running.set(fault.id, { ...fault, until: new Date(Date.now() + forMs).toISOString(), timer, undo });
  };
  const later = (what: string, work: () => Promise<string>) => {
    setTimeout(() => void work().then(tell, failed(what)), ANSWERED_MS);
    return what;
  };

  const { targets } = demo;
  const acts: Record<string, { button: Button; isThere: () => boolean; press: () => string }> = {
    orders: {
      button: {
        id: 'orders',
        label: `Place ${ORDERS} orders`,
        says: `${ORDERS} orders of the catalogue, each with a card that is good`,
      },
      isThere: () => true,
      press: () =>
        later(`Placing ${ORDERS} orders`, async () => `${(await demo.place(ORDERS)).length} orders were accepted`),
    },
    'gateway-down': {
      button: {
        id: 'gateway-down',
        label: 'Take the gateway down',
        says: 'every request to the payment sandbox is answered 500, for two minutes',
      },
      isThere: () => demo.hasSandbox && !running.has('gateway'),
      press: () =>
        later('Taking the gateway down', async () => {
          await demo.setGateway('down');
          const back = { id: 'gateway-up', label: 'Bring the gateway back', says: 'The gateway answers again' };
          begin({ id: 'gateway', says: 'The gateway is down', end: back }, GATEWAY_DOWN_MS, () =>
            demo.setGateway('up'),
          );
          return 'The gateway is down: charges are tried again, and go on by themselves when it is back';
        }),
    },
    'gateway-up': {
      button: { id: 'gateway-up', label: 'Bring the gateway back', says: 'ends every fault of the sandbox' },
      isThere: () => running.has('gateway'),
      press: () =>
        later('Bringing the gateway back', async () =>
          end('gateway', 'by a button').then(() => 'What had waited goes on'),
        ),
    },
    freeze: {
      button: {
        id: 'freeze',
        label: `Freeze ${targets.what}`,
        says: targets.isWhole
          ? 'SIGSTOP for 15 s: this page says that it is stale, and goes on by itself'
          : 'SIGSTOP, for a minute',
      },
      isThere: () => !running.has('frozen'),
      press: () =>
        later(`Freezing ${targets.what}`, async () => {
          const frozen = demo.freeze();
          const thaw = { id: 'thaw', label: `Thaw ${targets.what}`, says: `Thawed: ${targets.what}` };
          begin(
            { id: 'frozen', says: `Frozen: ${targets.what}`, end: thaw },
            targets.isWhole ? FROZEN_MS.everything : FROZEN_MS.workers,
            () => demo.thaw(frozen),
          );
          return `Frozen: ${targets.what} (${frozen.map((pid) => `process ${pid}`).join(', ')}). What was accepted waits, and goes on where it stood`;
        }),
    },
    thaw: {
      button: { id: 'thaw', label: `Thaw ${targets.what}`, says: 'SIGCONT' },
      isThere: () => running.has('frozen'),
      press: () =>
        later(`Thawing ${targets.what}`, async () =>
          end('frozen', 'by a button').then(() => 'Sagas go on where they stood'),
        ),
    },
    kill: {
      button: { id: 'kill', label: `Kill ${targets.what}`, says: 'SIGKILL; it starts again within seconds' },
      isThere: () => !running.has('frozen'),
      press: () =>
        later(
          `Killing ${targets.what}`,
          async () =>
            `Killed: ${targets.what} (${demo
              .kill()
              .map((pid) => `process ${pid}`)
              .join(', ')}). It starts again by itself`,
        ),
    },
    'dead-letters': {
      button: {
        id: 'dead-letters',
        label: 'Fill the dead letters',
        says: `a receiver of webhooks that rejects an event of ${REJECTED_ORDERS} orders; the service starts again with it, and takes it along until you stop it all`,
      },
      isThere: () => demo.mayHaveReceiver && !running.has('rejecting'),
      press: () =>
        later('Filling the dead letters', async () => {
          await demo.deliverTo(receiver);
          receiver.rejectNext(REJECTED_ORDERS);
          await demo.place(REJECTED_ORDERS);
          const mended = { id: 'mend', label: 'Mend the receiver', says: 'The receiver takes everything' };
          begin(
            { id: 'rejecting', says: `The receiver rejects an event of ${REJECTED_ORDERS} orders`, end: mended },
            REJECTING_MS,
            receiver.mend,
          );
          return `${REJECTED_ORDERS} orders were placed whose second event the ${DEMO_DESTINATION} rejects: see Dead letters. Replayed before it is mended, they come back`;
        }),
    },
    mend: {
      button: { id: 'mend', label: 'Mend the receiver', says: 'it takes everything: replay the dead letters' },
      isThere: () => running.has('rejecting'),
      press: () =>
        later('Mending the receiver', async () =>
          end('rejecting', 'by a button').then(() => 'Replay the dead letters now'),
        ),
    },
  };
  return {
    state: () => ({
      buttons: Object.values(acts).flatMap(({ isThere, button }) => (isThere() ? [button] : [])),
      faults: [...running.values()].map(({ id, says, until }) => ({ id, says, until })),
      told,
    }),
    press: (id) => {
      const act = Object.hasOwn(acts, id) ? acts[id] : undefined;
      return act?.isThere() ? act.press() : undefined;
    },
    stop: async () => {
      for (const id of [...running.keys()]) await end(id, 'with everything else').catch(failed(id));
    },
  };
}
