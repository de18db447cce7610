/** The frame's words in the visitor's language. The language is chosen once, before anything is drawn. */

import { languages } from 'languages:../../../../gateway/words/*/widget';
import type { words as english } from '../../../../gateway/words/en/widget';

export type Key = keyof typeof english;

/** Keys of two texts: what has happened, and what to do next. */
export type KeyWithNext = { [K in Key]: (typeof english)[K] extends string ? never : K }[Key];

export type Words = { readonly [K in Key]: K extends KeyWithNext ? readonly [string, string] : string };

let words: Partial<Words> = {};
let locale = 'en';

/** Choose the first of these languages (BCP 47) that there are words in, else English. Throws if they do not come. */
export async function chooseLanguage(preferred: readonly string[]): Promise<void> {
  for (const tag of [...preferred, locale]) {
    const load = languages[tag.toLowerCase().split('-')[0]];
    if (!load) continue;
    words = (await load()).words;
    locale = tag;
    break;
  }
  document.documentElement.lang = locale;
}

/** Return the text, its {names} filled in. */
export function t(key: Key, values: Record<string, string> = {}): string {
  const [text = ''] = [words[key]].flat();
  return text.replace(/\{(\w+)\}/g, (_, name: string) => values[name]);
}

/** Return what to do next; empty where that is obvious. */
export function next(key: Key): string {
  return hasNext(key) ? (words[key]?.[1] ?? '') : '';
}

/** Return whether there are words for this, and for what to do next. */
export function hasNext(key: string): key is KeyWithNext {
  return Array.isArray(words[key as Key]);
}

/** Return seconds as on a clock: 0:07, 12:34, 1:02:03. */
export function clock(seconds: number): string {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
