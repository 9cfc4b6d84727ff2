/** Amounts as people read them, wherever they are told of: in the whole unit, with the currency's own digits. */
import type { Money } from './orders.js';

/** 9800 USD → `98.00 USD`; 9800 JPY → `9800 JPY` */
export function money({ amount, currency }: Money): string {
  const { maximumFractionDigits: digits = 2 } = digitsOf(currency);
  return `${(amount / 10 ** digits).toFixed(digits)} ${currency}`;
}

function digitsOf(currency: string): { maximumFractionDigits?: number } {
  try {
    return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions();
  } catch {
    return {}; // not a currency that Intl can spell
  }
}
