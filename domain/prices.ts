/**
 * Which prices and totals can be charged, by the payment provider's rules (contracts/currencies). A unit price may be of any
 * size that its currency can be charged in: the provider bounds charges, and an order's total is what is charged.
 */
import { CURRENCIES } from '../contracts/currencies.js';
import type { Money } from '../contracts/orders.js';

export type PriceRefusal = {
  code: 'unsupported-currency' | 'unsupported-unit-price';
  field: 'currency' | 'unitPrice';
  detail: string;
};

/** @returns why nothing can be sold at this price, or undefined */
export function refusePrice({
  unitPrice,
  currency,
}: {
  unitPrice: number;
  currency: string;
}): PriceRefusal | undefined {
  const rules = CURRENCIES.get(currency);
  if (!rules)
    return {
      code: 'unsupported-currency',
      field: 'currency',
      detail: `${currency} cannot be charged: see the currencies`,
    };
  const { step } = rules;
  if (unitPrice % step === 0) return undefined;
  const below = unitPrice - (unitPrice % step);
  return {
    code: 'unsupported-unit-price',
    field: 'unitPrice',
    detail: `${currency} is charged in steps of ${step}: ${below} or ${below + step}, not ${unitPrice}`,
  };
}

/** The bounds in the currency's minor unit. */
export type TotalRefusal = {
  code: 'amount-too-small' | 'amount-too-large';
  detail: string;
  minimum: number;
  maximum: number;
};

/** @returns why a total in a currency that can be charged cannot, or undefined; 0 is not charged at all */
export function refuseTotal({ amount, currency }: Money): TotalRefusal | undefined {
  const rules = CURRENCIES.get(currency);
  if (!rules || amount === 0) return undefined;
  const { minimum, maximum } = rules;
  if (amount < minimum)
    return {
      code: 'amount-too-small',
      detail: `The total is ${amount} in ${currency}’s minor unit, less than the ${minimum} that can be charged.`,
      minimum,
      maximum,
    };
  if (amount > maximum)
    return {
      code: 'amount-too-large',
      detail: `The total is ${amount} in ${currency}’s minor unit, more than the ${maximum} that can be charged.`,
      minimum,
      maximum,
    };
  return undefined;
}
