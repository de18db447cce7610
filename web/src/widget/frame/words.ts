/** The frame's words in the visitor's language. The language is chosen once, before anything is drawn. */

import { languages } from 'languages:./words';
import type { words as english } from './words/en';

export type Key = keyof typeof english;

export type Words = Record<Key, string>;

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
  return known(key).replace(/\{(\w+)\}/g, (_, name: string) => values[name]);
}

/** Return the key's text; empty where there is none. */
export function known(key: string): string {
  return words[key as Key] ?? '';
}

/** Return seconds as on a clock: 0:07, 12:34, 1:02:03. */
export function clock(seconds: number): string {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
