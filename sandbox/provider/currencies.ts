/**
 * Currencies: which the provider takes, how it counts them, and how much one charge may be. From the provider's documentation,
 * docs.stripe.com/currencies ("Supported presentment currencies", "Zero-decimal currencies", "Three-decimal currencies",
 * "Special cases", "Minimum and maximum charge amounts"); written here from there, and not from our own table.
 */
import { invalid, type ProviderError } from '../protocol/errors.js';

const SUPPORTED = new Set(
  (
    'usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp cny ' +
    'cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod ' +
    'jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio ' +
    'nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd ' +
    'top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw'
  ).split(' '),
);

/** Counted in whole units. */
const ZERO_DECIMAL = new Set('bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf'.split(' '));

/** Counted in thousandths, of which the card networks know the hundredths only. */
const THREE_DECIMAL = new Set('bhd jod kwd omr tnd'.split(' '));

/** Have lost their fraction, and are counted in hundredths all the same, for programs of before that. */
const WHOLE_IN_HUNDREDTHS = new Set(['isk', 'ugx']);

/** In the minor unit, for an account that settles in the currency; any other currency is converted first, which we do not do. */
const MINIMUM: Readonly<Record<string, number>> = {
  ...{
    usd: 50,
    aed: 200,
    aud: 50,
    bgn: 100,
    brl: 50,
    cad: 50,
    chf: 50,
    czk: 1_500,
    dkk: 250,
    eur: 50,
    gbp: 30,
    hkd: 400,
  },
  ...{ huf: 17_500, inr: 50, jpy: 50, mxn: 1_000, myr: 200, nok: 300, nzd: 50, pln: 200, ron: 200, sek: 300, sgd: 50 },
  thb: 1_000,
};

const MAXIMUM = 99_999_999;
/** Of those that have larger ones the documentation gives two readings for cop, huf, jpy and lbp; these keep to eight digits here. */
const LARGER_MAXIMUM: Readonly<Record<string, number>> = { idr: 999_999_999_999, inr: 999_999_999 };

/** @throws ProviderError on one that the provider does not take */
export function requireCurrency(currency: string): void {
  if (SUPPORTED.has(currency)) return;
  const known = [...SUPPORTED].join(', ');
  throw invalid(`Invalid currency: ${currency.slice(0, 10)}. Stripe currently supports these currencies: ${known}`, {
    param: 'currency',
  });
}

/** @throws ProviderError when no charge of the currency can be of this amount */
export function requireChargeable(amount: number, currency: string): void {
  const most = LARGER_MAXIMUM[currency] ?? MAXIMUM;
  if (amount > most) throw wrongAmount(`Amount must be no more than ${display(most, currency)}`, 'amount_too_large');
  const least = MINIMUM[currency] ?? 1;
  if (amount < least) throw wrongAmount(`Amount must be at least ${display(least, currency)}`, 'amount_too_small');
  requireWholeUnits(amount, currency);
}

/** @throws ProviderError when it names fractions that the currency does not have */
export function requireWholeUnits(amount: number, currency: string): void {
  const step = stepOf(currency);
  if (amount % step === 0) return;
  throw wrongAmount(`Amounts in ${currency} must be evenly divisible by ${step}.`, 'invalid_charge_amount');
}

function stepOf(currency: string): number {
  if (WHOLE_IN_HUNDREDTHS.has(currency)) return 100;
  return THREE_DECIMAL.has(currency) ? 10 : 1;
}

function display(amount: number, currency: string): string {
  const decimals = ZERO_DECIMAL.has(currency) ? 0 : THREE_DECIMAL.has(currency) ? 3 : 2;
  return `${(amount / 10 ** decimals).toFixed(decimals)} ${currency}`;
}

const wrongAmount = (message: string, code: string): ProviderError => invalid(message, { code, param: 'amount' });
