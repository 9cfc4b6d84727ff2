/** Faults of orders, events, money and records, while all processes are well. */
import type pg from 'pg';
import { eventually } from '../../support/conditions.js';
import type { Fault } from './recorder.js';
import type { Span, Stage } from './stage.js';

export function cancelledOrders({ posting }: Stage): Fault {
  return { what: 'all orders are out of stock', alarms: ['CompensationRateHigh'], ...posting(4, { GONE: 1 }) };
}

export function dislikedEvent({ client, receiver, ops }: Stage): Fault {
  return {
    what: 'the receiver answers 422 for an order’s event',
    alarms: ['DeadLetters'],
    begin: async () => {
      receiver.answer = () => 422;
      await client.post({ PLENTY: 1 });
    },
    end: async () => {
      receiver.answer = () => 204;
      await ops('dead-letters', 'replay', '--destination', 'webhook', '--yes', '--reason', 'mended');
    },
  };
}

export function heldFeed({ client, openSession }: Stage): Fault {
  const held = transaction(openSession, 'SELECT pg_current_xact_id()');
  return {
    what: 'a transaction stays open, and an order comes',
    alarms: ['FeedHeldBack'],
    begin: async () => {
      await held.begin();
      await client.post({ PLENTY: 1 }); // an event behind it: nobody misses what is not there
    },
    end: held.end,
  };
}

export function engagedBrake({ ops }: Stage): Fault {
  return {
    what: 'operators stop all charging',
    alarms: ['BrakeEngaged'],
    begin: async () => {
      await ops('brakes', 'engage', 'charging', '--yes', '--reason', 'ticket 4711');
    },
    end: async () => {
      await ops('brakes', 'release', 'charging', '--yes', '--reason', 'mended');
    },
  };
}

export function pausedOperation({ sql }: Stage): Fault {
  const id = '01a1fc4b-2622-70f0-8b6b-725674f9c1d0';
  return {
    what: 'an operation pauses by itself, and is aborted',
    alarms: ['OperationPaused'],
    begin: () =>
      sql([
        `INSERT INTO operations (id, action, state, selection, total, amounts, skipped, previewed_by, started_at, started_by, reason, paused_at, paused_because)
         VALUES ('${id}', 'retry', 'paused', '{}', 1, '[]', '[]', 'op-7', now(), 'op-7', 'ticket 1', now(), 'the canary has failed')`,
      ]),
    end: () =>
      sql([
        `UPDATE operations SET state = 'aborted', aborted_by = 'op-7', abort_reason = 'ticket 1', paused_at = NULL, paused_because = NULL WHERE id = '${id}'`,
      ]),
  };
}

export function changedAudit({ sql }: Stage): Fault {
  const price = (value: string) =>
    sql([
      'ALTER TABLE audit_acts DISABLE TRIGGER USER',
      `UPDATE audit_acts SET after = jsonb_set(after, '{unitPrice}', '${value}') WHERE id = (SELECT min(id) FROM audit_acts WHERE after ? 'unitPrice')`,
      'ALTER TABLE audit_acts ENABLE TRIGGER USER',
    ]);
  return {
    what: 'an entry of the audit trail is changed, and changed back',
    alarms: ['AuditChainBroken'],
    begin: () => price('1'),
    end: () => price('1000'),
  };
}

export function spoiltOrder({ sql }: Stage): Fault {
  const total = (change: string) =>
    sql([
      'ALTER TABLE orders DISABLE TRIGGER USER',
      `UPDATE orders SET total_amount = total_amount ${change} WHERE id = (SELECT min(id::text)::uuid FROM orders WHERE status = 'CONFIRMED')`,
      'ALTER TABLE orders ENABLE TRIGGER USER',
    ]);
  return {
    what: 'an order’s total is changed behind the service’s back, and changed back',
    alarms: ['InvariantViolated'],
    begin: () => total('+ 1'),
    end: () => total('- 1'),
  };
}

export function refundByHand(stage: Stage): Fault {
  const { client, query } = stage;
  return {
    what: 'a confirmed order is refunded at the gateway, by hand',
    alarms: ['ReconciliationReported'],
    begin: async () => {
      const { id } = await client.post({ PLENTY: 1 });
      await client.final(id, 60_000);
      const { rows } = await query<{ reference: string }>(
        `SELECT gateway_reference AS reference FROM payments WHERE order_id = $1`,
        [id],
      );
      await refundAtGateway(stage, rows[0]?.reference ?? '');
    },
    end: () => closeFindings(stage),
  };
}

export function refundSentBack(stage: Stage): Fault {
  const { client, query } = stage;
  return {
    what: 'a refund fails after the gateway had accepted it',
    alarms: ['RefundFailed'],
    begin: async () => {
      const { id } = await client.post({ PLENTY: 1 }, 'pm_card_refundFail');
      await client.final(id, 60_000);
      await client.send('POST', `/orders/${id}/cancel`, { reason: 'changed my mind' });
    },
    end: () =>
      eventually(
        'it is given up',
        async () => {
          await closeFindings(stage);
          const open = `SELECT 1 FROM reconciliation_findings WHERE kind = 'REFUND_FAILED' AND action NOT IN ('refunded', 'cancelled')`;
          return (await query(open)).rows.length === 0;
        },
        120_000,
      ),
  };
}

export function lostReceiver({ client, receiver }: Stage): Fault {
  return {
    what: 'the receiver answers 503, and 300 orders come',
    alarms: ['DestinationBehind', 'DestinationFarBehind', 'BacklogHigh'],
    begin: async () => {
      receiver.answer = () => 503;
      for (let i = 0; i < 300; i++) await client.post({ PLENTY: 1 });
    },
    end: async () => {
      receiver.answer = () => 204;
    },
  };
}

export function lockedAudit({ openSession }: Stage): Fault {
  return {
    what: 'a session locks the audit trail for five minutes',
    alarms: ['AuditUnchecked'],
    ...transaction(openSession, 'LOCK TABLE audit_acts IN ACCESS EXCLUSIVE MODE'),
  };
}

/** A session that has begun a transaction, and goes home. */
function transaction(openSession: () => Promise<pg.Client>, statement: string): Span {
  let session: pg.Client | undefined;
  return {
    begin: async () => {
      session = await openSession();
      await session.query('BEGIN');
      await session.query(statement);
    },
    end: async () => session?.end(),
  };
}

async function refundAtGateway({ installation }: Stage, charge: string): Promise<void> {
  const answer = await fetch(`${installation.sandbox}/v1/refunds`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk_test_anything' },
    body: new URLSearchParams({ payment_intent: charge }),
  });
  if (!answer.ok) throw new Error(`the refund: ${answer.status} ${await answer.text()}`);
}

async function closeFindings({ query, ops }: Stage): Promise<void> {
  const { rows } = await query<{ id: string }>(`SELECT id FROM reconciliation_findings WHERE action = 'reported'`);
  for (const { id } of rows)
    await ops('reconcile', '--close', id, '--as', 'cancelled', '--reason', 'done by hand', '--yes');
}
