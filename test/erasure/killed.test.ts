/**
 * A worker process that is killed amid an erasure, at each moment that the product names (FULL=1; else where it leaves most behind): the
 * next one ends it, once, and what proves it is as if nobody had died.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../domain/audit/verification.js';
import { verifyCertificate } from '../../domain/erasure/certificate.js';
import { giveUpLease } from '../../domain/leases.js';
import { ERASER_MOMENTS, type EraserMoment } from '../../workers/eraser.js';
import { eventually } from '../support/conditions.js';
import { startFleet, type WorkerFleet } from '../support/worker-fleet.js';
import { AUDIT_KEY, cancel, dump, type Erasure, KEYS, type Stage, startStage } from './stage.js';

/** A batch that was done and is not counted; and an end that is committed and not noted outside. */
const LEAVE_MOST: readonly EraserMoment[] = ['before-batch-commit', 'after-completion'];
const MOMENTS = process.env['FULL'] === '1' ? ERASER_MOMENTS : LEAVE_MOST;
/** Each death is a lease that runs out, 20 s, and a process that starts. */
const DEATH_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'erasure-journal-'));
const journal = join(folder, 'journal');
let fleet: WorkerFleet;
let s: Stage;
const asked = new Map<EraserMoment, { erasure: Erasure; word: string; killed: number }>();

beforeAll(
  async () => {
    fleet = await startFleet(1, {
      ...{ AUDIT_KEY, ERASURE_JOURNAL: journal, ERASURE_EVERY: '1s' },
    });
    s = await startStage({ db: fleet.db, databaseUrl: fleet.databaseUrl });
    // No worker begins before each death is planned.
    await s.db.$executeRaw`
    INSERT INTO leases AS l (name, owner, until) VALUES ('eraser', 'the-test', now() + interval '60 s')
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until`;
    for (const moment of MOMENTS) {
      const word = `canary${moment.replaceAll('-', '')}`;
      // Nobody has paid: a charge that the sandbox does not know would be a finding, and hold the erasure.
      for (const n of [1, 2, 3]) {
        const order = await s.place(`cus_${word}`, `${word}-${n}`);
        await cancel(s, order, `I am ${word}`, `cus_${word}`);
      }
      const { body } = await s.ask(`cus_${word}`);
      asked.set(moment, { erasure: body, word, killed: 0 });
      fleet.plan(body.id, moment, 'exit');
    }
    await giveUpLease(s.db, 'eraser', 'the-test');
    await Promise.all(
      [...asked].map(async ([moment, one]) => {
        one.killed = await eventually(
          `a worker dies ${moment}`,
          () => fleet.met(one.erasure.id, moment),
          MOMENTS.length * DEATH_MS,
        );
        one.erasure = await eventually(
          `the erasure that died ${moment} is done`,
          async () => {
            const erasure = await s.read(one.erasure.id);
            return erasure.state === 'done' && erasure;
          },
          MOMENTS.length * DEATH_MS,
        );
      }),
    );
  },
  120_000 + MOMENTS.length * DEATH_MS,
);
afterAll(async () => {
  await s?.stop();
  await fleet?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

describe.each(MOMENTS)('a worker that is killed %s', (moment) => {
  const one = () => asked.get(moment) as { erasure: Erasure; word: string; killed: number };

  test('leaves nothing of the person, and a certificate that is genuine', async () => {
    const { erasure, word } = one();
    expect(erasure.report?.erased).toMatchObject({ orders: 3, idempotencyKeys: 3, customers: 1 });
    expect((await dump(s.db)).includes(word)).toBe(false);
    expect(verifyCertificate(erasure.certificate, { audit: KEYS })).toBe('genuine');
  });

  test('has it told once, in the feed and in the audit trail, and noted in the journal', async () => {
    const { erasure } = one();
    const told = await s.db.event.findMany({ where: { orderId: erasure.customerReference ?? '' } });
    expect(told.map(({ type, sequence }) => [type, sequence])).toEqual([['customer.erased', 1]]);
    const acts = await s.db.auditAct.findMany({ where: { resource: erasure.id }, orderBy: { id: 'asc' } });
    expect(acts.map(({ kind }) => kind)).toEqual(['act', 'outcome']);
    const notes = readFileSync(journal, 'utf8')
      .split('\n')
      .filter((line) => line.includes(erasure.id))
      .map((line) => (JSON.parse(line) as { kind: string }).kind);
    expect([...new Set(notes)]).toEqual(['requested', 'done']); // a note whose answer was lost is made again
  });
});

test('each was another process, and the audit chain is whole', async () => {
  expect(new Set([...asked.values()].map(({ killed }) => killed)).size).toBe(MOMENTS.length);
  expect(await verifyAudit(s.db, KEYS)).toMatchObject({ flaw: null });
});
