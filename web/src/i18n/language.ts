/** The reader's language and its table of words, chosen once, before the page is drawn. Knows no page. */

import { languages } from 'languages:./languages';
import type { beside } from './en/beside';
import type { keyForm } from './en/key-form';
import type { phone } from './en/phone';
import type { tools } from './en/tools';
import type { topUp } from './en/top-up';

type English = typeof phone & typeof beside & typeof keyForm & typeof tools & typeof topUp;

export type Key = keyof English;

/** A language's table: the page's own words, and the gateway's, which say themselves in English. */
export type Strings = Record<Key, string> & Partial<Record<string, string>>;

export let strings: Partial<Strings> = {};

/** The reader's own variant of the language, such as en-GB, for amounts and times. */
export let locale = 'en-US';

/** Choose the first of the reader's languages that there is a table for, and mark the page with it. */
export async function chooseLanguage(preferred: readonly string[]): Promise<void> {
  for (const tag of preferred) {
    const [code] = tag.toLowerCase().split('-');
    const load = languages[code];
    if (!load && code !== 'en') continue;
    if (load) strings = (await load()).words;
    locale = tag;
    document.documentElement.lang = code;
    break;
  }
}

/** Take English words that a part of the page brings along; other languages have them already. */
export function addWords(words: Partial<Strings>): void {
  strings = { ...words, ...strings };
}
