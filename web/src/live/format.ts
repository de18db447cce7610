/** Numbers, amounts and times as the reader of the page's language writes them. Pure but for the reader's zone. */

import { locale } from './language';

/** Formatters are dear to make, and the table asks for hundreds each second. */
const made = new Map<string, Intl.NumberFormat>();

function formatter(name: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  let found = made.get(name);
  if (!found) made.set(name, (found = new Intl.NumberFormat(locale, options)));
  return found;
}

/** Return a number with so many digits after the point. */
export function decimal(value: number, digits: number): string {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return formatter(String(digits), options).format(value);
}

/** Return a number with as many digits after the point as it needs, six at most. */
export function short(value: number): string {
  return formatter('', { maximumFractionDigits: 6 }).format(value);
}

/** Return 43 as 43 %. */
export function percent(value: number): string {
  return `${decimal(value, value > 0 && value < 10 ? 1 : 0)} %`;
}

/** Return milliseconds in the unit that is read most easily. */
export function ms(value: number): string {
  return value < 1000 ? `${decimal(value, 0)} ms` : `${decimal(value / 1000, 1)} s`;
}

/** Return an amount; running costs have four digits, so that they keep their width. */
export function money(micros: number, currency: string, digits = 4): string {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return formatter(currency + digits, { style: 'currency', currency, ...options }).format(micros / 1e6);
}

/** Return seconds as 0:07, 12:40 or 1:02:03. */
export function duration(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** Return how long ago something was, in its largest unit; their signs are those of all languages (ISO 80000-3). */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

const CLOCK = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
const WHOLE = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'long' });

/** Return the time of day in the reader's zone; of a number, that of so many milliseconds since the epoch. */
export function clock(at: string | number): string {
  return CLOCK.format(typeof at === 'string' ? Date.parse(at) : at);
}

const HOUR = new Intl.DateTimeFormat(locale, { timeStyle: 'short' });

/** Return the time of day to the minute in the reader's zone. */
export function hour(rfc3339: string): string {
  return HOUR.format(Date.parse(rfc3339));
}

const SOON = new Intl.DateTimeFormat(locale, { weekday: 'short', hour: '2-digit', minute: '2-digit' });

/** Return the day of the week and the time of day in the reader's zone, of what is within a few days. */
export function soon(rfc3339: string): string {
  return SOON.format(Date.parse(rfc3339));
}

/** Return day and time with the reader's zone. */
export function instant(rfc3339: string): string {
  return WHOLE.format(Date.parse(rfc3339));
}

const COUNTRIES = new Intl.DisplayNames(locale, { type: 'region', fallback: 'code' });
const countries = new Map<string, string>();

/** Return a country's name by its code (ISO 3166-1). */
export function country(code: string): string {
  let name = countries.get(code);
  if (name === undefined) {
    try {
      name = COUNTRIES.of(code) ?? code;
    } catch {
      // Numbers of no country, such as satellite phones', have no code.
      name = code;
    }
    countries.set(code, name);
  }
  return name;
}
