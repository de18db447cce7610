/**
 * How a number looks while it is written, which country it is of, and what it is as people of a region write it among
 * themselves. By the metadata of libphonenumber, 34 KB, so this is loaded once a number is to be written. Pure; whether a
 * number exists is the gateway's word.
 */

import { AsYouType, Metadata, parsePhoneNumberFromString } from 'libphonenumber-js/core/es6';
import type { CountryCode } from 'libphonenumber-js/core/es6';
import metadata from 'libphonenumber-js/metadata.min.json';

/** Digits, and what is written between them; anything else is left as it is written. */
const PLAIN = /^[\d+\s().\-/]*$/;

const INSIGNIFICANT = /[^\d+]/g;

/** Digits of a number of the +1 plan as its people write it. */
const NANP_DIGITS = 10;

/** What stands in a field, and where the caret is: an index into it. */
export interface Written {
  text: string;
  caret: number;
}

/** Return the region (ISO 3166) whose people write numbers as a reader of this language does; undefined where that is a guess. */
export function regionOf(language: string): string | undefined {
  const locale = new Intl.Locale(language);
  // English without a country is read everywhere.
  const region = locale.region ?? (locale.language === 'en' ? undefined : locale.maximize().region);
  return region && region in metadata.countries ? region : undefined;
}

/**
 * Return the field as it looks best, with the caret between the same digits. `removed` is the side on which the key that
 * was pressed took something away: where that was a space only, the digit beside it goes.
 */
export function tidied(now: Written, before: string, region?: string, removed?: 'back' | 'forward'): Written {
  // +44 (0)20 …: the bracketed zero is dialled only inside the country.
  const zero = /^\s*(\+|00)/.test(now.text) ? now.text.indexOf('(0)') : -1;
  let text = zero < 0 ? now.text : now.text.slice(0, zero) + now.text.slice(zero + 3);
  const caret = zero >= 0 && now.caret > zero ? Math.max(zero, now.caret - 3) : now.caret;
  if (!PLAIN.test(text)) return now;
  let ahead = significant(text.slice(0, caret));
  let behind = significant(text.slice(caret));
  if (removed && ahead + behind === significant(before)) {
    if (removed === 'back') ahead = ahead.slice(0, -1);
    else behind = behind.slice(1);
  }
  text = ahead + behind;
  const country = region && (plan(region) !== '0' || /^[+0]/.test(text)) ? (region as CountryCode) : undefined;
  if (country || text.startsWith('+')) text = new AsYouType(country, metadata).input(text);
  return { text, caret: behind ? after(text, ahead.length) : text.length };
}

/** Return the number in E.164 that people of the region mean, where they write it as among themselves. */
export function national(text: string, region: string | undefined): string | undefined {
  const digits = significant(text.normalize('NFKC'));
  if (!region || !digits || digits.startsWith('+') || !PLAIN.test(text.normalize('NFKC'))) return undefined;
  const found = parsePhoneNumberFromString(digits, region as CountryCode, metadata);
  if (!found?.isValid()) return undefined;
  const prefix = plan(region);
  if (prefix && digits.startsWith(prefix)) return found.number;
  if (prefix === '1' && digits.length === NANP_DIGITS) return found.number;
  // Written with a country code and without its plus sign, as is often pasted.
  return parsePhoneNumberFromString(`+${digits}`, metadata)?.isValid() ? undefined : found.number;
}

/** Return a number in E.164 grouped as its country does. */
export function shown(number: string): string {
  return new AsYouType(undefined, metadata).input(number);
}

/** Return the country (ISO 3166) that a number in E.164 is of, or of its country code where several share it. */
export function countryOf(number: string): string | undefined {
  const typed = new AsYouType(undefined, metadata);
  typed.input(number);
  const sharing: Partial<Record<string, string[]>> = metadata.country_calling_codes;
  return typed.getCountry() ?? sharing[typed.getCallingCode() ?? '']?.[0];
}

function significant(text: string): string {
  return text.replace(INSIGNIFICANT, '');
}

/** Return the index behind so many significant characters. */
function after(text: string, count: number): number {
  let index = 0;
  for (let seen = 0; seen < count && index < text.length; index++) {
    if (/[\d+]/.test(text[index])) seen++;
  }
  return index;
}

/** Return what people of the region write before a number of another place: 0 in most. */
function plan(region: string): string | undefined {
  const numbering = new Metadata(metadata);
  numbering.selectNumberingPlan(region as CountryCode);
  // Left out of the library's types.
  return (numbering.numberingPlan as { nationalPrefix?(): string | undefined } | undefined)?.nationalPrefix?.();
}
