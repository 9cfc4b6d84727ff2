/** The protocol as a model: small bounds here, larger ones by `npm run model`; what recorded sagas did are paths of it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { HISTORIES } from '../support/histories.js';
import { ifModelled, runModel } from '../support/model.js';

const AS_IT_SHOULD = { status: 0, wrong: [] };
let planted: string;
beforeAll(() => {
  planted = mkdtempSync(join(tmpdir(), 'order-saga-planted-'));
});
afterAll(() => rmSync(planted, { recursive: true, force: true }));

ifModelled(
  'the model keeps its promises, each planted change breaks one, and recorded sagas are paths of it (needs Java 17)',
  () => expect(runModel('--reduced') ?? AS_IT_SHOULD).toMatchObject(AS_IT_SHOULD),
  300_000,
);

type Marker = { markerName: string; details: { data: { payloads: { data: string }[] } } };
type Recorded = { events: { eventType: string; markerRecordedEventAttributes?: Marker }[] };
/** Where a history's first tries have ended, by name. */
const placesOf = ({ events }: Recorded) =>
  new Map(
    events.flatMap(({ markerRecordedEventAttributes: marker }, place) => {
      const [data] = marker?.markerName === 'core_local_activity' ? marker.details.data.payloads : [];
      if (!data) return [];
      const { activity_type } = JSON.parse(Buffer.from(data.data, 'base64').toString()) as { activity_type: string };
      return [[activity_type, place] as const];
    }),
  );
/** Writes a recorded history, changed, to where the model is given it. */
function plant(file: string, name: string, change: (history: Recorded, places: Map<string, number>) => void): void {
  const history = JSON.parse(readFileSync(join(HISTORIES, file), 'utf8')) as Recorded;
  change(history, placesOf(history));
  writeFileSync(join(planted, `${name}.json`), JSON.stringify(history));
}
const at = (places: Map<string, number>, name: string): number => {
  const place = places.get(name);
  if (place === undefined) throw new Error(`the history has no ${name}`);
  return place;
};

// A model that admitted anything would be bound to nothing.
ifModelled(
  'a history with two steps exchanged, or without an undo, is refused by the first act that does not fit (needs Java 17)',
  () => {
    plant('confirmed.json', 'exchanged', ({ events }, places) => {
      const [one, other] = [at(places, 'chargePayment'), at(places, 'confirmOrder')];
      [events[one], events[other]] = [events[other], events[one]] as [Recorded['events'][0], Recorded['events'][0]];
    });
    plant('declined.in-turns.json', 'not-released', ({ events }, places) =>
      events.splice(at(places, 'releaseInventory'), 1),
    );
    plant('refused-at-confirmation.in-hand.json', 'not-refunded', (history) => {
      // Its undo was an ordinary activity: from its first try to its end.
      const from = at(placesOf(history), 'refundPayment');
      const to = history.events.findIndex(({ eventType }) => eventType === 'EVENT_TYPE_ACTIVITY_TASK_COMPLETED');
      history.events = history.events.filter((_, place) => place < from || place > to);
    });
    const answer = runModel('--histories', planted);
    if (!answer) return;
    const { status, said } = answer;
    expect(status).toBe(1);
    expect(said).toMatch(
      /exchanged\.json: an instance was expected\n {2}after firstStart; begin Reserve; reserve: "begin Confirm" does not fit, exchanged\.json, event \d+ \(confirmOrder\)/,
    );
    expect(said).toMatch(/"finish" does not fit, not-released\.json, event \d+ \(cancelOrder\)/);
    expect(said).toMatch(/"release" does not fit, not-refunded\.json, event \d+ \(releaseInventory\)/);
  },
  300_000,
);

ifModelled('an action that is none of the model’s own is refused, and shows nothing (needs Java 17)', () => {
  writeFileSync(join(planted, 'paths.jsonl'), '{"name":"made up","actions":["firstStart","sell"]}\n');
  const answer = runModel('--paths', join(planted, 'paths.jsonl'));
  if (answer) expect(answer.said).toContain('"sell" is no action of the model');
});
