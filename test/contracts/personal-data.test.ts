/** What operators must not write: it is found in all its spellings, and what they do write of (orders, references, times, articles) is not. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { personalFormIn, personalFormInId, refusalOf } from '../../contracts/personal-data.js';

const luhn = (digits: string): string => {
  const sum = [...digits].reverse().reduce((all, digit, place) => {
    const value = Number(digit) * (place % 2 === 0 ? 2 : 1);
    return all + (value > 9 ? value - 9 : value);
  }, 0);
  return `${digits}${(10 - (sum % 10)) % 10}`;
};
const mod97 = (text: string): number =>
  [...text]
    .map((sign) => parseInt(sign, 36).toString())
    .join('')
    .split('')
    .reduce((rest, d) => (rest * 10 + +d) % 97, 0);
const iban = (country: string, rest: string): string =>
  `${country}${`${98 - mod97(`${rest}${country}00`)}`.padStart(2, '0')}${rest}`;
const inFours = (text: string, gap: string): string => text.replaceAll(/(.{4})(?=.)/g, `$1${gap}`);
const digits = (length: number) => fc.stringMatching(new RegExp(`^[0-9]{${length}}$`));
const sentence = fc.constantFrom(
  (what: string) => what,
  (what: string) => `called, says ${what}`,
  (what: string) => `${what}, ticket 4711`,
  (what: string) => `ticket 12 (${what}) done`,
  (what: string) => `paid to: ${what}.`,
);
const holds = <T>(of: fc.Arbitrary<T>, claim: (value: T) => void) =>
  fc.assert(fc.property(of, claim), { numRuns: 500 });

describe('found, wherever in the sentence it stands:', () => {
  test('every e-mail address', () => {
    holds(fc.tuple(fc.emailAddress(), sentence), ([address, say]) => {
      expect([say(address), personalFormIn(say(address))]).toEqual([say(address), 'an e-mail address']);
    });
    expect(personalFormIn('écrire à amélie@exämple.fr')).toBe('an e-mail address');
    expect(personalFormIn('ask anna＠example．com')).toBe('an e-mail address');
  });

  test('every payment card number of the schemes, as one, with spaces or with dashes', () => {
    const card = fc
      .oneof(
        digits(14).map((rest) => `4${rest}`),
        digits(13).map((rest) => `52${rest}`),
        digits(11).map((rest) => `2345${rest}`),
        digits(12).map((rest) => `37${rest}`),
        digits(11).map((rest) => `6011${rest}`),
        digits(11).map((rest) => `3540${rest}`),
        digits(16).map((rest) => `62${rest}`),
      )
      .map(luhn);
    holds(fc.tuple(card, fc.constantFrom('', ' ', '-', ' '), sentence), ([number, gap, say]) => {
      const text = say(inFours(number, gap));
      expect([text, personalFormIn(text)]).toEqual([text, 'a payment card number']);
    });
    for (const known of ['378282246310005', '3782 822463 10005', '30569309025904', '3056 930902 5904', '4222222222222'])
      expect([known, personalFormIn(`card ${known}`)]).toEqual([known, 'a payment card number']);
  });

  test('every IBAN, in one or in fours', () => {
    const account = fc.oneof(
      digits(18).map((rest) => iban('DE', rest)),
      digits(14).map((rest) => iban('GB', `WEST${rest}`)),
      digits(12).map((rest) => iban('BE', rest)),
      digits(16).map((rest) => iban('AT', rest)),
    );
    holds(fc.tuple(account, fc.constantFrom('', ' ', '-'), fc.boolean(), sentence), ([number, gap, isSmall, say]) => {
      const text = say(inFours(isSmall ? number.toLowerCase() : number, gap));
      expect([text, personalFormIn(text)]).toEqual([text, 'an IBAN']);
    });
    expect(personalFormIn('BE68 5390 0754 7034 paid back')).toBe('an IBAN');
    expect(personalFormIn('refund AB12 3456 7890 DE89 3704 0044 0532 0130 00')).toBe('an IBAN');
  });

  test.each([
    '+49 151 23456789',
    '+1 (555) 010-0123',
    '+33.1.99.00.12.34',
    '+4915123456789',
    '0049 151 23456789',
    '(+44) 20 7946 0000',
  ])('a phone number in international form: %s', (number) => {
    expect(personalFormIn(number)).toBe('a phone number');
    expect(personalFormIn(`call her back at ${number}, today`)).toBe('a phone number');
    expect(personalFormInId(number)).toBe('a phone number');
  });
});

describe('not taken for anything of a person:', () => {
  const harmless: [string, fc.Arbitrary<string>][] = [
    ['the id of an order', fc.uuid()],
    ['the id of an event', fc.tuple(fc.uuid(), fc.nat(99)).map(([id, n]) => `${id}-${n}`)],
    ['a workflow id', fc.uuid().map((id) => `order-${id}-cancel`)],
    ['an id without its hyphens', fc.uuid().map((id) => id.replaceAll('-', '').replace(/^\d*/, 'a'))],
    ['a gateway’s reference', fc.stringMatching(/^(pi|re|ch|pm|cus)_3[A-Za-z0-9]{22}$/)],
    ['the sandbox’s reference', fc.nat(99_999_999).map((n) => `pi_3Ab${`${n}`.padStart(14, '0')}`)],
    [
      'a moment',
      fc
        .date({ min: new Date('2020-01-01'), max: new Date('2099-01-01'), noInvalidDate: true })
        .map((d) => d.toISOString()),
    ],
    [
      'a moment with its zone',
      fc
        .date({ min: new Date('2020-01-01'), max: new Date('2099-01-01'), noInvalidDate: true })
        .map((d) => d.toISOString().replace('Z', '+02:00')),
    ],
    [
      'a moment in digits alone',
      fc
        .date({ min: new Date('2020-01-01'), max: new Date('2099-01-01'), noInvalidDate: true })
        .map((d) => d.toISOString().replaceAll(/\D/g, '').slice(0, 14)),
    ],
    ['milliseconds since 1970', fc.integer({ min: 1_577_836_800_000, max: 2_524_608_000_000 }).map(String)],
    ['a SKU', fc.stringMatching(/^SKU-[A-Z]{3,12}(-[0-9]{1,6})?$/)],
    [
      'an article’s number (EAN-13)',
      digits(11)
        .map((rest) => `4${rest}`)
        .map(
          (rest) =>
            `${rest}${(10 - ([...rest].reverse().reduce((s, d, i) => s + Number(d) * (i % 2 ? 1 : 3), 0) % 10)) % 10}`,
        ),
    ],
    ['a ticket', fc.nat(9_999_999).map((n) => `ticket ${n}`)],
    ['an amount', fc.tuple(fc.nat(9_999_999), fc.constantFrom('USD', 'EUR')).map(([n, unit]) => `${n / 100} ${unit}`)],
    ['an address of the network', fc.ipV4()],
    ['a subject of an issuer', fc.stringMatching(/^auth0\|[0-9a-f]{24}$/)],
    ['a machine’s subject', fc.stringMatching(/^[a-zA-Z]{32}@clients$/)],
    ['small numbers in a row', fc.array(fc.nat(999), { minLength: 1, maxLength: 20 }).map((all) => all.join(' '))],
  ];
  test.each(harmless)('%s', (_, texts) => {
    holds(fc.tuple(texts, sentence), ([text, say]) => {
      expect([say(text), personalFormIn(say(text))]).toEqual([say(text), undefined]);
      expect([text, personalFormInId(text)]).toEqual([text, undefined]);
    });
  });

  test('what operators do write', () => {
    for (const reason of [
      'gateway is back',
      'broken in the warehouse, ticket 12',
      'paid by bank transfer, ticket 4711, 98.00 USD on 2026-11-29',
      'restored to 09:14:03 +0100, orders 0001 to 0417',
      'recount: +7 in A, -3 in B, 1000000 in all',
      'they have it from a file, see https://wiki.example.com/a?b=1',
      'pi_3Nn8aB2eZvKYlo2C1d5bDq9x given back by hand',
    ])
      expect([reason, personalFormIn(reason)]).toEqual([reason, undefined]);
  });
});

test('the sentence that refuses says what it looks like, and nothing of it', () => {
  expect(refusalOf('an IBAN')).toBe('looks as if it had an IBAN in it; name a ticket or an order instead');
});

test('it is quick, whatever it is given', () => {
  const began = process.cpuUsage();
  for (const text of [
    '4'.repeat(200),
    '1 '.repeat(100),
    'a'.repeat(200),
    '+1 '.repeat(66),
    'a.'.repeat(100),
    'DE12 '.repeat(40),
    `a@${'b.'.repeat(99)}`,
  ])
    personalFormIn(text);
  expect(process.cpuUsage(began).user).toBeLessThan(200_000);
});
