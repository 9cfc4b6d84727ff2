/** Events of an order that a destination does not take: what was refused and why, what waits behind it, and until when. */
import type { NextAct } from './next-acts.js';
import type { HeldEvent, OrderRow } from './order-row.js';
import { clock } from './plain-words.js';

/** `events 1–4`: the one that is not taken, and all that have come after it. */
const rangeOf = ({ eventCount }: OrderRow, { sequence }: HeldEvent): string =>
  eventCount > sequence ? `events ${sequence}–${eventCount}` : `event ${sequence}`;

function refusalOf({ destination, type, sequence, cause }: HeldEvent): string {
  const event = `event ${sequence} (${type})`;
  switch (cause) {
    case 'rejected':
      return `${destination} has refused ${event}`;
    case 'unavailable-for-this-event':
      return `${destination} fails on ${event} time and again, while it takes others`;
    default:
      return `${event} cannot be sent to ${destination} (${cause})`;
  }
}

export const heldSentences = (row: OrderRow): string[] =>
  row.heldEvents.map((held) => {
    const tries = held.attempts === 1 ? '1 try' : `${held.attempts} tries`;
    return `Events: ${refusalOf(held)}: ${held.error} (${tries}). ${sentenceStart(rangeOf(row, held))} of this order are held for it since ${clock(held.at)}, as dead letter ${held.id}.`;
  });

const sentenceStart = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What relays do of the order's events. */
export function actsOfRelay(row: OrderRow): NextAct[] {
  const holding = new Set(row.heldEvents.map(({ destination }) => destination));
  return [
    ...row.owing
      .filter((destination) => !holding.has(destination))
      .map((destination) => ({ what: `a relay goes on delivering events to ${destination}`, at: null })),
    ...row.heldEvents.map((held) => ({
      what:
        held.state === 'PARKED'
          ? `${rangeOf(row, held)} are not sent to ${held.destination} until you decide about dead letter ${held.id}`
          : `a relay sends ${rangeOf(row, held)} to ${held.destination} again`,
      at: null,
    })),
  ];
}

export function usualOfHeld(held: HeldEvent): string {
  const { id, destination } = held;
  return `ask whoever runs ${destination} why; once it takes the event, \`ops dead-letters replay ${id}\`. The order itself is complete; ${destination} does not know of it until then.`;
}
