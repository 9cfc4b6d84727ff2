/**
 * What the payment provider takes: its currencies, their units and the bounds of one charge. As Stripe documents them at
 * https://docs.stripe.com/currencies: "Supported presentment currencies", "Zero-decimal", "Three-decimal", "Special
 * cases", "Minimum and maximum charge amounts". What it takes of a particular account is for the account to say.
 *
 * Our amounts count the minor unit in which a price of today can be written: cents for USD, yen for JPY, fils for KWD, and
 * whole krónur and shillings for ISK and UGX, which have nothing smaller (ISO 4217 says the same). The provider counts
 * those two in hundredths still. An ariary (MGA) is whole for the provider and for us, although ISO gives it two digits.
 */
export type CurrencyRules = {
  /** How many of the provider's units one of ours is. */
  gatewayUnits: number;
  /** In our units: an amount must be a multiple of it. */
  step: number;
  /** In our units, of a charge: what an order's total must reach, unless it is 0. */
  minimum: number;
  /** In our units, of a charge. */
  maximum: number;
};

/** Eight digits of the provider's units. */
const GATEWAY_MAXIMUM = 99_999_999;
const ORDINARY: CurrencyRules = { gatewayUnits: 1, step: 1, minimum: 1, maximum: GATEWAY_MAXIMUM };
/** Whole units only, which the provider counts in hundredths: it was otherwise once, and no client should break. */
const IN_HUNDREDTHS: CurrencyRules = { ...ORDINARY, gatewayUnits: 100, maximum: Math.floor(GATEWAY_MAXIMUM / 100) };
/** Three decimals, the last of which must be 0: the card networks carry two. */
const IN_TENS: CurrencyRules = {
  ...ORDINARY,
  step: 10,
  minimum: 10,
  maximum: GATEWAY_MAXIMUM - (GATEWAY_MAXIMUM % 10),
};

/** Those with two decimals or none, between which the provider's way of counting makes no difference to ours. */
const PLAIN = [
  'AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY COP CRC',
  'CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD JPY KES KGS KHR',
  'KMF KRW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN',
  'PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH USD',
  'UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW',
]
  .join(' ')
  .split(' ');

/**
 * Below these a charge would cost more than it brings. The provider holds them against the currency that the account is paid
 * out in, after conversion: a currency that is not listed has a bound too, which only the provider knows, and so may say.
 */
const MINIMUMS: Record<string, number> = {
  AED: 200,
  AUD: 50,
  BGN: 100,
  BRL: 50,
  CAD: 50,
  CHF: 50,
  CZK: 1_500,
  DKK: 250,
  EUR: 50,
  GBP: 30,
  HKD: 400,
  HUF: 17_500,
  INR: 50,
  JPY: 50,
  MXN: 1_000,
  MYR: 200,
  NOK: 300,
  NZD: 50,
  PLN: 200,
  RON: 200,
  SEK: 300,
  SGD: 50,
  THB: 1_000,
  USD: 50,
};
/** Twelve digits. */
const MAXIMUMS: Record<string, number> = { IDR: 999_999_999_999 };

const rulesOf = (currencies: string[], rules: CurrencyRules) =>
  currencies.map((currency): [string, CurrencyRules] => [
    currency,
    {
      ...rules,
      minimum: MINIMUMS[currency] ?? rules.minimum,
      maximum: MAXIMUMS[currency] ?? rules.maximum,
    },
  ]);

/** ISO code → rules. A currency that is not in here is not taken. */
export const CURRENCIES: ReadonlyMap<string, CurrencyRules> = new Map([
  ...rulesOf(PLAIN, ORDINARY),
  ...rulesOf(['ISK', 'UGX'], IN_HUNDREDTHS),
  ...rulesOf(['BHD', 'JOD', 'KWD', 'OMR', 'TND'], IN_TENS),
]);

/** Of a currency without rules, as an older release may have accepted it: the provider was sent what we count. */
const gatewayUnits = (currency: string) => CURRENCIES.get(currency)?.gatewayUnits ?? 1;

/**
 * @param amount   in our minor unit
 * @param currency ISO code in capitals
 * @returns the same amount as the provider counts it
 */
export const toGatewayAmount = (amount: number, currency: string): number => amount * gatewayUnits(currency);

/**
 * @param amount   as the provider counts it
 * @param currency ISO code in capitals
 * @returns the same amount in our minor unit; with a fraction, for what nobody here can have asked for. Whether an amount of
 *          the provider's is an order's is therefore asked in the provider's units
 */
export const fromGatewayAmount = (amount: number, currency: string): number => amount / gatewayUnits(currency);
