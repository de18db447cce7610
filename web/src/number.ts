/**
 * What a person types or pastes -> the number that is dialled. Whether it exists is the gateway's word. Pure.
 */

/** ITU-T E.164: at most 15 digits; fewer than 8 with the country code are service codes. */
const E164 = /^\+[1-9]\d{7,14}$/;

/** Letters as on a keypad (ITU-T E.161), for numbers such as 1-800-FLOWERS. */
const LETTERS = ['ABC', 'DEF', 'GHI', 'JKL', 'MNO', 'PQRS', 'TUV', 'WXYZ'];

/** Countries of the North American plan whose people write ten digits. */
const NANP_REGIONS = /-(US|CA)\b/;

/**
 * Return the digits the text stands for, with a plus sign if it is international; not checked for length.
 * `language` is the reader's, such as en-US: there, ten digits are a number of the +1 plan.
 */
export function dialled(text: string, language = ''): string {
  // Full-width and other digits become plain ones; extensions and URI parameters go.
  const plain = text.normalize('NFKC').trim().replace(/^tel:/i, '').replace(/(;|,|\bext\b|\bx\d).*$/i, '');
  const international = /^(\+|00)/.test(plain);
  // +44 (0)20 …: the bracketed zero is dialled only inside the country.
  const text2 = international ? plain.replace(/\(0\)/, '') : plain;
  const digits = text2.toUpperCase().replace(/[A-Z]/g, keyOfLetter).replace(/\D/g, '');
  if (!digits) return international ? '+' : '';
  if (international) return `+${digits.replace(/^00/, '')}`;
  const national = digits.length === 10 && NANP_REGIONS.test(language);
  return national ? `+1${digits}` : `+${digits}`;
}

/** Whether this can be dialled at all. */
export function isDiallable(number: string): boolean {
  return E164.test(number);
}

/** Country codes of one and two digits (ITU-T E.164); all others have three. */
const COUNTRY = /^\+([17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3})/;

/**
 * Return the number in groups: as the +1 plan has them, else the country code apart (ITU-T E.123) and the rest by
 * fours from its end, for easier comparison.
 */
export function grouped(number: string): string {
  if (!isDiallable(number)) return number;
  return number
    .replace(COUNTRY, '$& ')
    .replace(/^(\+1 \d{3})(\d{3})(?=\d{4}$)/, '$1 $2 ')
    .replace(/\B(?=(\d{4})+$)/g, ' ');
}

function keyOfLetter(letter: string): string {
  return String(LETTERS.findIndex((group) => group.includes(letter)) + 2);
}
