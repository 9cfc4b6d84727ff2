/** Why a decision on a finding was not taken, and the amount that it is made for: a finding follows the ledger, and its amount with it. */
import { Type } from 'typebox';
import { money } from '../../contracts/amounts.js';
import type { Finding } from '../../domain/reconciliation-findings.js';
import { Problem } from '../http/problems.js';

export const ExpectedAmount = Type.Integer({
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'The `amount` that you have seen it with: is it another by now, nothing is done (409 `amount-differs`)',
});

export const currencyOf = (currency: string): string | null => currency.trim() || null;

type Standing = Pick<Finding, 'id' | 'kind' | 'action' | 'closedBy' | 'closedAs' | 'reason' | 'amount' | 'currency'>;

/** Whether it still is to be decided on, and not what the operator has seen. */
export const hasMoved = ({ action, amount }: Pick<Finding, 'action' | 'amount'>, expected?: number): boolean =>
  action === 'reported' && expected !== undefined && amount !== expected;

export function notReported(finding: Standing, expected?: number): Problem {
  const { id, kind, action, closedBy, closedAs, reason, amount, currency } = finding;
  const by = closedBy === null ? '' : `, by ${closedBy} (${closedAs}: ${reason})`;
  const settled = action === 'refunded' || action === 'cancelled';
  if (expected !== undefined && hasMoved(finding, expected)) {
    const [now, then] = [amount, expected].map((value) => money({ amount: value, currency }).trim());
    return new Problem(
      'amount-differs',
      `Nothing was done: finding ${id} (${kind}) is about ${now} now, not ${then}.`,
      {
        finding: { amount, currency: currencyOf(currency) },
      },
    );
  }
  if (action === 'reported')
    return new Problem('finding-not-reported', `Finding ${id} (${kind}) does not fit its order: look at it first.`);
  const how = settled ? `is settled as ${action}${by}` : `is in hand (${action})${by}`;
  return new Problem('finding-not-reported', `Finding ${id} (${kind}) ${how}.`);
}
