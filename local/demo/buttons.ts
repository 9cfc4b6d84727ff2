/** The console's buttons: which there are just now, what each does, and for how long. */
import type { Demonstration } from './demonstration.js';
import { DEMO_DESTINATION, type Receiver } from './receiver.js';

/** Long enough to see sagas park, and well within their deadline. */
const GATEWAY_DOWN_MS = 120_000;
/** Where nothing but workers stands still, and where the page's own API does, too. */
const FROZEN_MS = { workers: 45_000, everything: 15_000 };
/** After which the receiver takes what it has rejected, so that a replay gets through. */
const REJECTING_MS = 120_000;
const ORDERS = 20;
const REJECTED_ORDERS = 8;

export type Button = {
  id: string;
  label: string;
  /** What it does. */
  says: string;
  isThere: () => boolean;
  /** @returns what is being done */
  press: () => string;
};

/** A fault as it begins: what is said when it is over, and how it ends. */
export type Beginning = { id: string; says: string; over: string; forMs: number; undo: () => void | Promise<void> };
/** What buttons are made with. */
export type Stage = {
  isOn(fault: string): boolean;
  begin(fault: Beginning): void;
  /** Takes it back once, by whichever comes first: its time, a button, the launcher's end. */
  end(fault: string, why: string): Promise<void>;
  /** Does it in a moment, and tells what has come of it. @returns what is being done */
  later(what: string, work: () => Promise<string>): string;
};

export const buttonsOf = (stage: Stage, demo: Demonstration, receiver: Receiver): Button[] => [
  {
    id: 'orders',
    label: `Place ${ORDERS} orders`,
    says: `${ORDERS} orders of the catalogue, each with a card that is good`,
    isThere: () => true,
    press: () =>
      stage.later(`Placing ${ORDERS} orders`, async () => `${(await demo.place(ORDERS)).length} orders were accepted`),
  },
  ...ofGateway(stage, demo),
  ...ofProcesses(stage, demo),
  ...ofReceiver(stage, demo, receiver),
];

const ofGateway = (stage: Stage, demo: Demonstration): Button[] => [
  {
    id: 'gateway-down',
    label: 'Take the gateway down',
    says: 'every request to the payment sandbox fails, for two minutes',
    isThere: () => demo.hasSandbox && !stage.isOn('gateway'),
    press: () =>
      stage.later('Taking the gateway down', async () => {
        await demo.setGateway('down');
        const undo = () => demo.setGateway('up');
        const over = 'The gateway answers again';
        stage.begin({ id: 'gateway', says: 'The gateway is down', over, forMs: GATEWAY_DOWN_MS, undo });
        return 'The gateway is down: charges are tried again, and go on by themselves when it is back';
      }),
  },
  {
    id: 'gateway-up',
    label: 'Bring the gateway back',
    says: 'ends every fault of the sandbox',
    isThere: () => stage.isOn('gateway'),
    press: () => ended(stage, 'gateway', { doing: 'Bringing the gateway back', done: 'What had waited goes on' }),
  },
];

function ofProcesses(stage: Stage, demo: Demonstration): Button[] {
  const { what, isWhole } = demo.targets;
  const forMs = isWhole ? FROZEN_MS.everything : FROZEN_MS.workers;
  const named = (pids: number[]) => `${what} (${pids.map((pid) => `process ${pid}`).join(', ')})`;
  return [
    {
      id: 'freeze',
      label: `Freeze ${what}`,
      says: `SIGSTOP, for ${forMs / 1_000} s${isWhole ? ': this page says that it is stale, and goes on by itself' : ''}`,
      isThere: () => !stage.isOn('frozen'),
      press: () =>
        stage.later(`Freezing ${what}`, async () => {
          const frozen = demo.freeze();
          const undo = () => demo.thaw(frozen);
          stage.begin({ id: 'frozen', says: `Frozen: ${what}`, over: `Thawed: ${what}`, forMs, undo });
          return `Frozen: ${named(frozen)}. What was accepted waits, and goes on where it stood`;
        }),
    },
    {
      id: 'thaw',
      label: `Thaw ${what}`,
      says: 'SIGCONT',
      isThere: () => stage.isOn('frozen'),
      press: () => ended(stage, 'frozen', { doing: `Thawing ${what}`, done: 'Sagas go on where they stood' }),
    },
    {
      id: 'kill',
      label: `Kill ${what}`,
      says: 'SIGKILL; it starts again within seconds',
      isThere: () => !stage.isOn('frozen'),
      press: () =>
        stage.later(`Killing ${what}`, async () => `Killed: ${named(demo.kill())}. It starts again by itself`),
    },
  ];
}

const ofReceiver = (stage: Stage, demo: Demonstration, receiver: Receiver): Button[] => [
  {
    id: 'dead-letters',
    label: 'Fill the dead letters',
    says: `the service starts again with a receiver of webhooks, which rejects an event of ${REJECTED_ORDERS} orders for two minutes`,
    isThere: () => demo.mayHaveReceiver && !stage.isOn('rejecting'),
    press: () =>
      stage.later('Filling the dead letters', async () => {
        await demo.deliverTo(receiver);
        receiver.rejectNext(REJECTED_ORDERS);
        const says = `The receiver rejects an event of ${REJECTED_ORDERS} orders`;
        const over = 'The receiver takes everything';
        stage.begin({ id: 'rejecting', says, over, forMs: REJECTING_MS, undo: receiver.mend });
        await demo.place(REJECTED_ORDERS);
        return `${REJECTED_ORDERS} orders were placed whose second event the ${DEMO_DESTINATION} rejects: see Dead letters. Replayed before it is mended, they come back`;
      }),
  },
  {
    id: 'mend',
    label: 'Mend the receiver',
    says: 'it takes everything: replay the dead letters',
    isThere: () => stage.isOn('rejecting'),
    press: () => ended(stage, 'rejecting', { doing: 'Mending the receiver', done: 'Replay the dead letters now' }),
  },
];

const ended = (stage: Stage, fault: string, { doing, done }: { doing: string; done: string }): string =>
  stage.later(doing, async () => {
    await stage.end(fault, 'by a button');
    return done;
  });
