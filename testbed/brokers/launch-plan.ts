import { connect } from 'node:net';
import type { Program } from '../../local/processes/program.js';

/** What is started, in this order; the last one is the broker itself, which is killed and paused. */
export type BrokerPlan = {
  programs: Program[];
  /** The product’s settings for it. */
  settings: Record<string, string>;
};

export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const answer = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });
}
