/** The reader's language and its table of words, chosen once, before the page is drawn. Knows no page. */

import type { beside } from './en/beside';
import type { keyForm } from './en/key-form';
import type { phone } from './en/phone';
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

export let strings: Partial<Strings> = {};

/** The reader's own variant of the language, such as en-GB, for amounts and times. */
export let locale = 'en-US';

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
