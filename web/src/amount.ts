/**
 * What a person writes for an amount of money -> micros, and micros as the gateway and a field take them. Pure.
 */

/** Letters and signs around the figures, such as € or USD. */
const CURRENCY = /^[\p{L}\p{Sc}]+|[\p{L}\p{Sc}]+$/gu;

/** Groups of thousands, in some countries; NFKC has made every space a plain one. */
const GROUPING = /[\s'’]/g;

/** Return how many digits the currency has after the decimal separator (ISO 4217). */
export function minorDigits(currency: string): number {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
}

/**
 * Return the micros the text stands for, or undefined if it is no amount or could be read as two. The reader's
 * decimal separator is tried first; the other one only where a fraction follows that no group of thousands is.
 */
export function parseAmount(text: string, digits: number, language: string): number | undefined {
  const plain = text.normalize('NFKC').replace(GROUPING, '').replace(CURRENCY, '');
  const comma = decimalSeparator(language) === ',';
  return read(plain, digits, comma) ?? (/[.,]\d{1,2}$/.test(plain) ? read(plain, digits, !comma) : undefined);
}

/** Return micros as the gateway takes them: 25.00 in every language. */
export function decimalText(micros: number, digits: number): string {
  return (micros / 1e6).toFixed(digits);
}

/** Return micros as the reader would write them into a field: 25,00. */
export function fieldText(micros: number, digits: number, language: string): string {
  return decimalText(micros, digits).replace('.', decimalSeparator(language));
}

function read(plain: string, digits: number, comma: boolean): number | undefined {
  const [decimal, group] = comma ? [',', '[.]'] : ['[.]', ','];
  const amount = new RegExp(`^(\\d{1,3}(?:${group}\\d{3}){1,2}|\\d{1,9})(?:${decimal}(\\d{0,${digits}}))?$`);
  const found = amount.exec(plain);
  if (!found) return undefined;
  const [, whole, fraction = ''] = found;
  return Number(whole.replace(/\D/g, '')) * 1e6 + Number(fraction.padEnd(6, '0'));
}

function decimalSeparator(language: string): ',' | '.' {
  return new Intl.NumberFormat(language).format(1.5).includes(',') ? ',' : '.';
}
