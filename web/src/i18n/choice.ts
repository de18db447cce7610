/** Which language a page speaks: the first of the reader's that it has words in. */

/** The reader's own variant of the language, such as en-GB, for amounts and times. */
export let locale = 'en-US';

/** What loads the words of each language but English, by its code (BCP 47). */
type Languages = Record<string, (() => Promise<{ words: object }>) | undefined>;

/** Choose for these languages (BCP 47) and mark the page; return the words, nothing for English, which lies with the page. */
export async function chosen<Words>(preferred: readonly string[], languages: Languages): Promise<Words | undefined> {
  for (const tag of preferred) {
    const [code] = tag.toLowerCase().split('-');
    const load = languages[code];
    if (!load && code !== 'en') continue;
    const words = load && ((await load()).words as Words);
    locale = tag;
    document.documentElement.lang = code;
    return words;
  }
  return undefined;
}
