/**
 * Words, amounts and times in the reader's language. The table is chosen once, before the page is drawn.
 */

import type { CallerError, Money } from '../sdk/core';
import type { beside } from './en/beside';
import type { keyForm } from './en/key-form';
import { phone } from './en/phone';
import type { tools } from './en/tools';
import type { topUp } from './en/top-up';

type English = typeof phone & typeof beside & typeof keyForm & typeof tools & typeof topUp;

export type Key = keyof English;

/** A language's table: the page's own words, and the gateway's, which say themselves in English. */
export type Strings = Record<Key, string> & Partial<Record<string, string>>;

/** Languages besides English -> their table, loaded only where it is read. */
const OTHERS: Record<string, () => Promise<Strings>> = {
  de: async () => (await import('./de')).de,
};

let strings: Partial<Strings> = phone;

/** The reader's own variant of the language, such as en-GB, for amounts and times. */
let locale = 'en-US';

/** Choose the first of the reader's languages that there is a table for, and mark the page with it. */
export async function chooseLanguage(preferred: readonly string[]): Promise<void> {
  const codes = preferred.map((tag) => tag.toLowerCase().split('-')[0]);
  const language = codes.find((code) => code === 'en' || code in OTHERS) ?? 'en';
  if (language in OTHERS) strings = await OTHERS[language]();
  locale = preferred.find((tag) => tag.startsWith(language)) ?? language;
  document.documentElement.lang = language;
}

/** Take English words that a part of the page brings along; other languages have them already. */
export function addWords(words: Partial<Strings>): void {
  strings = { ...words, ...strings };
}

/** Return the text of a key that may have none. */
export function known(key: string): string | undefined {
  return strings[key];
}

/** Return the text, its {names} filled in. */
export function t(key: Key, values: Record<string, string> = {}): string {
  return (strings[key] ?? key).replace(/\{(\w+)\}/g, (_, name: string) => values[name]);
}

/** Return an amount that is paid or left, in the whole minor units it holds: $5.00, and $4.99 for $4.999. */
export function money({ micros, currency }: Money): string {
  const unit = 10 ** (6 - minorDigits(currency));
  return inCurrency(currency).format((Math.floor(micros / unit) * unit) / 1e6);
}

/** Return what calls cost, always with two digits more, so that a running cost keeps its width: $0.0130. */
export function price({ micros, currency }: Money): string {
  return inCurrency(currency, Math.min(minorDigits(currency) + 2, 4)).format(micros / 1e6);
}

/** Return how many digits the currency has after the decimal separator (ISO 4217). */
function minorDigits(currency: string): number {
  return inCurrency(currency).resolvedOptions().maximumFractionDigits ?? 2;
}

function inCurrency(currency: string, minimumFractionDigits?: number): Intl.NumberFormat {
  const digits = { minimumFractionDigits, maximumFractionDigits: minimumFractionDigits };
  return new Intl.NumberFormat(locale, { style: 'currency', currency, ...digits });
}

/** Return seconds as 0:07, 12:40 or 1:02:03. */
export function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60) % 60;
  const hours = Math.floor(seconds / 3600);
  const rest = two(Math.floor(seconds) % 60);
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** Return an instant in the reader's zone: the time today, the day as well before. */
export function when(rfc3339: string, now: Date): string {
  const at = new Date(rfc3339);
  const today = at.toDateString() === now.toDateString();
  const day = today ? {} : ({ day: 'numeric', month: 'short' } as const);
  return new Intl.DateTimeFormat(locale, { ...day, hour: 'numeric', minute: '2-digit' }).format(at);
}

/** Return what failed, and what to do next. */
export function failureInWords({ kind, problem, title, action }: CallerError): [string, string] {
  const own = `failure.${kind}`;
  const refusal = `problem.${problem?.code}`;
  return [
    known(refusal) ?? problem?.detail ?? problem?.title ?? known(own) ?? title,
    known(`${refusal}.next`) ?? problem?.action ?? known(`${own}.next`) ?? action,
  ];
}
