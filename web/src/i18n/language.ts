/** The reader's language and its table of words, chosen once, before the page is drawn. */

import { languages } from 'languages:../../../gateway/words/*/phone';
import { chosen } from './choice';
import type { beside } from '../../../gateway/words/en/phone/beside';
import type { keyForm } from '../../../gateway/words/en/phone/key-form';
import type { phone } from '../../../gateway/words/en/phone/phone';
import type { tools } from '../../../gateway/words/en/phone/tools';
import type { topUp } from '../../../gateway/words/en/phone/top-up';

type English = typeof phone & typeof beside & typeof keyForm & typeof tools & typeof topUp;

export { locale } from './choice';

export type Key = keyof English;

/** A language's table: the page's own words, and the gateway's, which say themselves in English. */
export type Strings = Record<Key, string> & Partial<Record<string, string>>;

export let strings: Partial<Strings> = {};

/** Choose the first of the reader's languages that there is a table for, and mark the page with it. */
export async function chooseLanguage(preferred: readonly string[]): Promise<void> {
  strings = (await chosen<Strings>(preferred, languages)) ?? strings;
}

/** Take English words that a part of the page brings along; other languages have them already. */
export function addWords(words: Partial<Strings>): void {
  strings = { ...words, ...strings };
}
