/**
 * Words, amounts and times in the reader's language. The table is chosen once, before the page is drawn.
 */

import type { CallFailure } from '../call/failure';
import type { Ending, Money } from '../wire';
import { en } from './en';
import type { Key, Strings } from './en';

export type { Key } from './en';

/** Languages besides English -> their table, loaded only where it is read. */
const OTHERS: Record<string, () => Promise<Strings>> = {
  de: async () => (await import('./de')).de,
};

let strings: Partial<Strings> = en;
let language = 'en';

/** The reader's own variant of the language, such as en-GB, for amounts and times. */
let locale = 'en-US';

/** Choose the first of the reader's languages that there is a table for, and mark the page with it. */
export async function chooseLanguage(preferred: readonly string[]): Promise<void> {
  const codes = preferred.map((tag) => tag.toLowerCase().split('-')[0]);
  language = codes.find((code) => code === 'en' || code in OTHERS) ?? 'en';
  if (language in OTHERS) strings = await OTHERS[language]();
  locale = preferred.find((tag) => tag.startsWith(language)) ?? language;
  document.documentElement.lang = language;
}

/** Take English words that a part of the page brings along; other languages have them already. */
export function addWords(words: Partial<Strings>): void {
  strings = { ...words, ...strings };
}

/** Return the text, its {names} filled in. */
export function t(key: Key, values: Record<string, string> = {}): string {
  return (strings[key] ?? key).replace(/\{(\w+)\}/g, (_, name: string) => values[name]);
}

/** Return an amount that is paid or left, in whole minor units: $5.00. */
export function money({ micros, currency }: Money): string {
  return inCurrency(currency).format(micros / 1e6);
}

/** Return what calls cost, always with two digits more, so that a running cost keeps its width: $0.0130. */
export function price({ micros, currency }: Money): string {
  const minorDigits = inCurrency(currency).resolvedOptions().maximumFractionDigits ?? 2;
  return inCurrency(currency, Math.min(minorDigits + 2, 4)).format(micros / 1e6);
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

/** Return a cause in a word or two; null is a call still going on. */
export function causeInWords(cause: number | null): string {
  return strings[cause === null ? 'cause.live' : `cause.${cause}`] ?? t('cause.other');
}

/**
 * Return how the call ended, and what to do next if that is not obvious: the gateway's words in English, a table's in
 * other languages.
 */
export function endingInWords({ cause, message, action, cut_off: lack }: Ending): [string, string] {
  const known = `cutOff.${lack}`;
  const what = strings[known] ?? (language === 'en' && message ? message : causeInWords(cause));
  return [what, strings[`${known}.next`] ?? action];
}

/** Return what failed, and what to do next. */
export function failureInWords({ code, problem }: CallFailure): [string, string] {
  const own: Key = `failure.${code}`;
  const next: Key = `failure.${code}.next`;
  const known = `problem.${problem?.code}`;
  return [
    strings[known] ?? problem?.detail ?? problem?.title ?? t(own),
    strings[`${known}.next`] ?? problem?.action ?? t(next),
  ];
}

/** What a warning's name is about; its own words, if there are any, go first. */
const ABOUT: [RegExp, string][] = [
  [/^(high|low)-/, 'network'],
  [/phone$/, 'phone'],
  [/input|browser|microphone/, 'microphone'],
];

/** Return what is wrong with the call, and what to do: the gateway's words in English, a table's in other languages. */
export function warningInWords(name: string, message: string): [string, string] {
  const about = ABOUT.find(([names]) => names.test(name))?.[1];
  return [strings[`warning.${name}`] ?? message, strings[`warning.${about}.next`] ?? ''];
}
