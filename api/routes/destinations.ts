/** Destinations over HTTP: who serves each, what it has taken and is owed, and why it takes nothing. */
import { Type } from 'typebox';
import { DESTINATION_STATES, type DestinationView, describeDestinations } from '../../domain/destinations.js';
import { readFeedHeldSeconds } from '../../domain/figures.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { ProblemSchema } from '../http/problems.js';
import { oneOf } from '../http/schemas.js';

const orNull = (description: string) =>
  Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description });
const DestinationSchema = Type.Object(
  {
    destination: Type.String(),
    state: oneOf(
      DESTINATION_STATES,
      'unserved = no relay serves it, or not all of it; failing = it takes nothing; left-alone = it has asked for a pause; ' +
        'troubled = it takes events of some orders, and not of others; behind = it takes, and more is owed; current = nothing is owed',
    ),
    relays: Type.Integer({ description: 'Relay processes that live and have it configured' }),
    partitionsServed: Type.Integer({ description: 'Of `partitions`, under a lease that is running' }),
    owed: Type.Integer({
      description: 'Events that it has not taken; estimated where there are many, without those behind dead letters',
    }),
    oldestOwedAt: orNull('When the oldest of them came about'),
    lastTakenAt: orNull('When it took an event last; null = never, as far as is known'),
    failingSince: orNull('Since when it has taken nothing that it was sent'),
    error: Type.Union([Type.String(), Type.Null()], { description: 'What it said last of what it has not taken' }),
    leftAloneUntil: orNull('It has asked to be left alone until then'),
    configuredAt: orNull('When a relay last said that it is configured'),
    deadLetters: Type.Array(
      Type.Object({ cause: Type.String(), state: Type.String(), count: Type.Integer(), oldest: Type.String() }),
      { description: 'Open ones, by cause' },
    ),
    partitions: Type.Array(
      Type.Object({
        partition: Type.Integer(),
        cursor: Type.String({ description: 'Up to where it has been served' }),
        movedAt: Type.String({ format: 'date-time' }),
        served: Type.Boolean(),
      }),
      { description: 'Of the orders, each with a cursor of its own' },
    ),
  },
  { $id: 'Destination' },
);

export function destinationRoutes(app: Api, { db }: ApiDependencies): void {
  app.get(
    '/admin/destinations',
    {
      schema: {
        summary: 'Where events are delivered, how far, and what stands in the way',
        tags: ['destinations'],
        response: {
          200: Type.Object({
            destinations: Type.Array(DestinationSchema),
            feedHeldSeconds: Type.Number({ description: 'For how long an open transaction has held all of them back' }),
          }),
          '4xx': ProblemSchema,
        },
      },
    },
    async () => {
      const [destinations, feedHeldSeconds] = await Promise.all([describeDestinations(db), readFeedHeldSeconds(db)]);
      return { destinations: destinations.map(show), feedHeldSeconds };
    },
  );
}

const iso = (at: Date | null): string | null => at?.toISOString() ?? null;

function show(view: DestinationView) {
  const { destination, state, relays, served, owed, error, deadLetters, cursors } = view;
  return {
    destination,
    state,
    relays,
    partitionsServed: served,
    owed,
    oldestOwedAt: iso(view.oldestOwedAt),
    lastTakenAt: iso(view.takenAt),
    failingSince: iso(view.failingSince),
    error,
    leftAloneUntil: iso(view.leftAloneUntil),
    configuredAt: iso(view.configuredAt),
    deadLetters: deadLetters.map(({ cause, state: stands, count, oldest }) => ({
      cause,
      state: stands,
      count,
      oldest,
    })),
    partitions: cursors,
  };
}
