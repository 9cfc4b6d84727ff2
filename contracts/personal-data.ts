/**
 * What a text has in it that names a person or their money: an e-mail address, an IBAN, the number of a payment card, a phone
 * number in international form. What operators write is kept for ever and shown to many; they mean a ticket, and paste a customer.
 * It is told by its form and its check digits, so that ids, references, times and article numbers are none of it; a name is not
 * found, nor a phone number as one writes it at home.
 */
export type PersonalForm = 'an e-mail address' | 'an IBAN' | 'a payment card number' | 'a phone number';

/** @returns what the text seems to have in it; undefined = nothing of the kind */
export function personalFormIn(text: string): PersonalForm | undefined {
  const plain = text.normalize('NFKC').replaceAll(DASHES, '-').replaceAll(UUIDS, ' ');
  if (E_MAIL.test(plain)) return 'an e-mail address';
  if ([...plain.matchAll(IBANS)].some(([, found = '']) => isIban(found))) return 'an IBAN';
  if ([...plain.matchAll(DIGIT_GROUPS)].some(([found]) => hasCardNumber(found))) return 'a payment card number';
  if ([...plain.matchAll(PHONES)].some(([found]) => isPhone(found))) return 'a phone number';
  return undefined;
}

/** Nothing of the text itself: whoever reads the refusal, or a log with it, is not told what it was about. */
export const refusalOf = (form: PersonalForm): string =>
  `looks as if it had ${form} in it; name a ticket or an order instead`;

/**
 * What an id that a client has chosen may not look like. Ids have no plus sign, so a phone number is told by the zeros that stand for it.
 * @returns as personalFormIn
 */
export function personalFormInId(id: string): PersonalForm | undefined {
  return personalFormIn(id) ?? (DIALLED.test(id) ? 'a phone number' : undefined);
}

const DASHES = /[\u2010-\u2015\u2212]/gu;
const UUIDS = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;

/** With a domain of two parts at least: `name@clients` is an issuer's subject. */
const E_MAIL = /[^\s<>()[\]:;,@]@(?:[\p{L}\p{N}-]{1,63}\.)+(?:\p{L}{2,63}|xn--[a-z0-9-]{2,59})/iu;

/** As it is printed, in fours, or as it is copied, in one. */
const IBANS =
  /(?<![A-Za-z0-9_])(?=([A-Z]{2}\d{2}(?:(?:[ -][A-Z0-9]{4}){2,7}(?:[ -][A-Z0-9]{1,4})?|[A-Z0-9]{11,30})(?![A-Za-z0-9])))/gi;

/** How long an IBAN of each country is: https://www.swift.com/standards/data-standards/iban-international-bank-account-number */
const IBAN_LENGTHS: { readonly [length: string]: string } = {
  '15': 'NO',
  '16': 'BE',
  '18': 'DK FK FO FI GL NL SD',
  '19': 'MK SI',
  '20': 'AT BA EE KZ LT LU MN XK',
  '21': 'CH HR LI LV',
  '22': 'BG BH CR DE GB GE IE ME RS VA',
  '23': 'AE GI IL IQ OM SO TL',
  '24': 'AD CZ ES MD PK RO SA SE SK TN VG',
  '25': 'LY PT ST',
  '26': 'IS TR',
  '27': 'BI DJ FR GR IT MC MR SM',
  '28': 'AL AZ BY CY DO GT HN HU LB NI PL SV',
  '29': 'BR EG PS QA UA',
  '30': 'JO KW MU YE',
  '31': 'MT SC',
  '32': 'LC',
  '33': 'RU',
};

/** Words may follow a number in fours: then it is shorter than what was found. */
function isIban(found: string): boolean {
  const signs = found.replaceAll(/[ -]/g, '').toUpperCase();
  const [length] = Object.entries(IBAN_LENGTHS).find(([, countries]) => countries.includes(signs.slice(0, 2))) ?? [];
  if (length === undefined || signs.length < Number(length)) return false;
  if (signs.length > Number(length) && !endsGroup(found, Number(length))) return false;
  const iban = signs.slice(0, Number(length));
  const digits = [...iban.slice(4), ...iban.slice(0, 4)].map((sign) => parseInt(sign, 36).toString()).join('');
  return [...digits].reduce((rest, digit) => (rest * 10 + Number(digit)) % 97, 0) === 1;
}

/** @returns whether after so many signs there is a gap */
function endsGroup(found: string, length: number): boolean {
  let signs = 0;
  for (const sign of found) {
    if (/[ -]/.test(sign)) {
      if (signs === length) return true;
    } else signs++;
  }
  return false;
}

/** Of four and more each, but for the last: a date has shorter ones. */
const DIGIT_GROUPS = /(?<![\p{L}\p{N}_])\d{1,30}(?:[ .-]\d{1,30})*(?![\p{L}\p{N}_])/gu;
const CARD_DIGITS = { min: 13, max: 19 };

/** Any run of whole groups may be the number: "ticket 12 4242 …". */
function hasCardNumber(found: string): boolean {
  const groups = found.split(/[ .-]/);
  for (const [first] of groups.entries()) {
    let digits = '';
    for (const group of groups.slice(first)) {
      digits += group;
      if (digits.length > CARD_DIGITS.max) break;
      if (digits.length >= CARD_DIGITS.min && isCardNumber(digits)) return true;
      if (group.length < 4) break;
    }
  }
  return false;
}

/** The schemes by their first digits and lengths, https://en.wikipedia.org/wiki/Payment_card_number: a time in milliseconds begins with 1. */
const SCHEMES =
  /^(?:4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}|3(?:0[0-59]|[689]\d)\d{11}(?:\d{2,5})?|35(?:2[89]|[3-8]\d)\d{12}(?:\d{3})?|(?:5[06-8]|6\d)\d{14,17})$/;

const isCardNumber = (digits: string): boolean => SCHEMES.test(digits) && isLuhn(digits) && !isArticleNumber(digits);

const isLuhn = (digits: string): boolean =>
  [...digits].reverse().reduce((sum, digit, place) => {
    const value = Number(digit) * (place % 2 === 0 ? 1 : 2);
    return sum + (value > 9 ? value - 9 : value);
  }, 0) %
    10 ===
  0;

/** A GTIN of 13 or 14 digits has a check digit of its own: one in ten has Luhn's besides. */
const isArticleNumber = (digits: string): boolean =>
  digits.length <= 14 &&
  [...digits].reverse().reduce((sum, digit, place) => sum + Number(digit) * (place % 2 === 0 ? 1 : 3), 0) % 10 === 0;

/** A plus, or two zeros and a gap after the country's digits. */
const PHONES =
  /(?<![\p{L}\p{N}_+])(?:\+\(?[1-9]|00[1-9]\d{0,2}[ ./-]\(?\d)(?:[ ./()-]{0,2}\d){6,16}(?![\p{L}\p{N}_])/gu;
const PHONE_DIGITS = { min: 8, max: 15 };

function isPhone(found: string): boolean {
  const { length } = found.replaceAll(/\D/g, '').replace(/^00/, '');
  return length >= PHONE_DIGITS.min && length <= PHONE_DIGITS.max;
}

const DIALLED = /^(?:tel[.:-]?)?00[1-9](?:[.:-]?\d){8,13}$/i;
