import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type Stripe from 'stripe';
import { freePort } from '../../../local/processes/ports.js';
import { compileSandbox, kill, runSandbox, type Spawned, spawnSandbox } from '../process.js';
import { cleanUp, errorOf, intervene, ledgerOf, newDataDir, order, startSandbox, until } from '../support.js';

const ledgerFile = (dataDir: string) => join(dataDir, 'sandbox/ledger.jsonl');

describe('a process', () => {
  let main: string;
  const started: Spawned[] = [];
  const run = async (env: Record<string, string>, fileBlocksMax?: number) => {
    const sandbox = await runSandbox(main, env, fileBlocksMax);
    started.push(sandbox);
    return sandbox;
  };
  beforeAll(async () => {
    main = await compileSandbox();
  });
  afterAll(async () => {
    await Promise.all(started.map(({ child }) => kill(child, 'SIGKILL')));
    await cleanUp();
  });

  it('killed amid a storm of requests keeps every answer it gave, and charges no key twice afterwards', async () => {
    const dataDir = await newDataDir();
    const first = await run({ DATA_DIR: dataDir });
    const answered = new Map<string, string>();
    let dead = false;
    const client = async (worker: number) => {
      for (let n = 0; !dead; n += 1) {
        const key = `${worker}-${n}`;
        await first.stripe.paymentIntents.create(order(key), { idempotencyKey: key }).then(
          ({ id }) => answered.set(key, id),
          () => {
            dead = true;
          },
        );
      }
    };
    const storm = Array.from({ length: 16 }, (_, worker) => client(worker));
    await until(() => (answered.size > 150 ? true : undefined));
    await kill(first.child, 'SIGKILL');
    await Promise.all(storm);

    const second = await run({ DATA_DIR: dataDir });
    const { stripe } = second;
    await Promise.all(
      [...answered].map(async ([key, id]) => {
        expect((await stripe.paymentIntents.create(order(key), { idempotencyKey: key })).id).toBe(id);
      }),
    );
    const sums = await ledgerOf({ url: `http://127.0.0.1:${second.port}` });
    expect(sums.ordersChargedMoreThanOnce.count).toBe(0);
    // What was on its way when it died may or may not have been charged, but at most once each.
    expect(sums.charges['succeeded']).toBeGreaterThanOrEqual(answered.size);
    expect(sums.charges['succeeded']).toBeLessThanOrEqual(answered.size + 16);
  });

  it('killed amid its retention, again and again, keeps every payment, and none of the words that were to go', async () => {
    const dataDir = await newDataDir();
    const DAY_MS = 24 * 3_600_000;
    const paid: string[] = [];
    for (let round = 0; round < 4; round += 1) {
      const { child, stripe, port } = await run({ DATA_DIR: dataDir, SANDBOX_RETENTION: '90d' });
      const post = (path: string, body?: object) => intervene({ url: `http://127.0.0.1:${port}` }, path, body);
      for (let n = 0; n < 40; n += 1) {
        const { id } = await stripe.paymentIntents.create({ ...order(`${round}-${n}`), description: `word-${round}.` });
        paid.push(id);
      }
      await post('clock', { aheadMs: (round + 1) * 100 * DAY_MS });
      const forgotten = post('retention').catch(() => undefined);
      paid.push((await stripe.paymentIntents.create({ ...order(`late-${round}`), description: `young` })).id);
      if (round % 2 === 0) await forgotten;
      await kill(child, 'SIGKILL');
      await forgotten;
    }
    const last = await run({ DATA_DIR: dataDir, SANDBOX_RETENTION: '90d' });
    await intervene({ url: `http://127.0.0.1:${last.port}` }, 'retention');
    const kept = [];
    for await (const intent of last.stripe.paymentIntents.list({ limit: 100 })) kept.push(intent);
    expect(kept.map(({ id }) => id)).toEqual(paid.reverse());
    expect(kept.filter(({ description }) => description?.startsWith('word'))).toEqual([]);
    expect(await readFile(ledgerFile(dataDir), 'utf8')).not.toMatch(/word-[0-2]/);
  });

  it('killed while it hangs after a charge answers the same key with that charge after its restart', async () => {
    const dataDir = await newDataDir();
    const first = await run({ DATA_DIR: dataDir });
    const request = order('o1', 'pm_sandbox_timeout_after_charge');
    const lost = errorOf(first.stripe.paymentIntents.create(request, { idempotencyKey: 'k1' }));
    const { id } = await until(async () => (await first.stripe.paymentIntents.list()).data[0]);
    await kill(first.child, 'SIGKILL');
    await lost;
    const second = await run({ DATA_DIR: dataDir });
    expect((await second.stripe.paymentIntents.create(request, { idempotencyKey: 'k1' })).id).toBe(id);
  });

  it('ends within two seconds of SIGTERM, with 0, although requests are hanging', async () => {
    const dataDir = await newDataDir();
    const sandbox = await run({ DATA_DIR: dataDir });
    const cut = errorOf(sandbox.stripe.paymentIntents.create(order('o1', 'pm_sandbox_timeout_after_charge')));
    await until(async () => (await sandbox.stripe.paymentIntents.list()).data[0]);
    const before = Date.now();
    expect(await kill(sandbox.child, 'SIGTERM')).toBe(0);
    expect(Date.now() - before).toBeLessThan(2_000);
    await cut;
  });

  it('whose disk is full ends instead of answering what it could not keep', async () => {
    const dataDir = await newDataDir();
    const first = await run({ DATA_DIR: dataDir }, 40);
    const answered: string[] = [];
    for (let failed = false; !failed; ) {
      const made = await first.stripe.paymentIntents.create(order('o1')).catch(() => undefined);
      if (made) answered.push(made.id);
      else failed = true;
    }
    expect(await until(() => first.child.exitCode ?? undefined)).toBe(1);
    expect(answered.length).toBeGreaterThan(5);
    const second = await run({ DATA_DIR: dataDir });
    const kept = await second.stripe.paymentIntents.list({ limit: 100 });
    expect(kept.data.map(({ id }) => id)).toEqual(answered.reverse());
  });

  it('refuses a ledger that another sandbox owns, and a port that is taken, in one sentence', async () => {
    const dataDir = await newDataDir();
    const owner = await run({ DATA_DIR: dataDir });
    const second = spawnSandbox(main, { DATA_DIR: dataDir, SANDBOX_PORT: String(await freePort()) });
    expect(await until(() => second.child.exitCode ?? undefined)).toBe(78);
    expect(second.output()).toMatch(/^DATA_DIR is in use: another sandbox \(process \d+\) owns .*\n$/);
    const third = spawnSandbox(main, { DATA_DIR: await newDataDir(), SANDBOX_PORT: String(owner.port) });
    expect(await until(() => third.child.exitCode ?? undefined)).toBe(78);
    expect(third.output()).toContain(`SANDBOX_PORT ${owner.port} is taken.`);
    expect((await owner.stripe.paymentIntents.list()).data).toEqual([]);
  });
});

describe('a ledger', () => {
  afterEach(cleanUp);

  it('forgets a torn last line, which no answer ever named, and goes on behind the one before', async () => {
    const first = await startSandbox();
    const { id } = await first.stripe.paymentIntents.create(order('o1'));
    await first.close();
    await appendFile(ledgerFile(first.dataDir), '{"at":1,"intent":{"id":"pi_to');
    const second = await startSandbox({ dataDir: first.dataDir });
    const other = await second.stripe.paymentIntents.create(order('o2'));
    await second.close();
    const third = await startSandbox({ dataDir: first.dataDir });
    expect((await third.stripe.paymentIntents.list()).data.map((intent) => intent.id)).toEqual([other.id, id]);
  });

  it('refuses to start on a line damaged in its middle rather than forget what came after', async () => {
    const first = await startSandbox();
    for (const orderId of ['o1', 'o2']) await first.stripe.paymentIntents.create(order(orderId));
    await first.close();
    const content = await readFile(ledgerFile(first.dataDir), 'utf8');
    await writeFile(ledgerFile(first.dataDir), content.slice(1));
    await expect(startSandbox({ dataDir: first.dataDir })).rejects.toThrow(/damaged .*line 1/);
  });

  it('ignores a lock whose owner is dead, even if its process id lives on in another process', async () => {
    const dataDir = await newDataDir();
    await mkdir(join(dataDir, 'sandbox'));
    await writeFile(join(dataDir, 'sandbox/lock'), JSON.stringify({ pid: process.pid, birth: 'long ago' }));
    const sandbox = await startSandbox({ dataDir });
    await expect(startSandbox({ dataDir })).rejects.toThrow(/another sandbox/);
    await sandbox.close();
    await (await startSandbox({ dataDir })).close();
  });

  it('finishes after a restart what was still processing', async () => {
    const first = await startSandbox({ processingMs: 60_000 });
    const { id } = await first.stripe.paymentIntents.create(order('o1', 'pm_sandbox_processing'));
    await first.close();
    const second = await startSandbox({ dataDir: first.dataDir });
    await until(async () => {
      const { status } = await second.stripe.paymentIntents.retrieve(id);
      return status === 'succeeded' ? status : undefined;
    });
  });

  it('of 200,000 lines is ready within a few seconds', async () => {
    const first = await startSandbox();
    const seed: Stripe.PaymentIntent = await first.stripe.paymentIntents.create(order('o1'), {
      idempotencyKey: 'key-o1',
    });
    await first.close();
    const line = await readFile(ledgerFile(first.dataDir), 'utf8');
    const copy = (n: number) =>
      line.replaceAll(seed.id, `pi_${n}`).replaceAll('ch_', `ch_${n}_`).replaceAll('o1', `o${n}`);
    const lines = Array.from({ length: 200_000 }, (_, n) => copy(n));
    await writeFile(ledgerFile(first.dataDir), lines.join(''));
    const before = Date.now();
    const second = await startSandbox({ dataDir: first.dataDir });
    // Measured about 1.5 s, and 8 beside two other runs of this suite; anything quadratic would take minutes.
    expect(Date.now() - before).toBeLessThan(40_000);
    const sums = await ledgerOf(second);
    expect(sums.charges['succeeded']).toBe(200_000);
    expect(await ledgerOf(second, 'o150000')).toMatchObject({
      net: 9_800,
      charges: [{ idempotency_key: 'key-o150000' }],
    });
    expect((await second.stripe.paymentIntents.list()).data[0]?.id).toBe('pi_199999');
  });
});
