/** What is said of how calls go and end. Loaded with the parts that say it. */

import type { Ending } from '../sdk/core';
import { known, t } from '.';

/** Return a cause in a word or two; null is a call still going on. */
export function causeInWords(cause: number | null): string {
  return known(cause === null ? 'cause.live' : `cause.${cause}`) ?? t('cause.other');
}

/** Return seconds in words: 30 seconds. */
export function seconds(count: number): string {
  const options = { style: 'unit', unit: 'second', unitDisplay: 'long' } as const;
  return new Intl.NumberFormat(document.documentElement.lang, options).format(count);
}

/**
 * Return how the call ended, and what to do next if that is not obvious: the gateway's words in English, a table's in
 * other languages.
 */
export function endingInWords({ cause, message, messages, action, ended_by: by, cut_off: lack }: Ending): [string, string] {
  const told = messages?.[document.documentElement.lang];
  if (told) return [told, action];
  const isEnglish = document.documentElement.lang === 'en';
  const who = cause === 16 ? known(`endedBy.${by}`) : undefined;
  const what = known(`cutOff.${lack}`) ?? who ?? (isEnglish && message ? message : causeInWords(cause));
  return [what, known(`cutOff.${lack}.next`) ?? action];
}

/** What a warning's name is about; its own words, if there are any, go first. */
const ABOUT: [RegExp, string][] = [
  [/^(high|low)-/, 'network'],
  [/phone$/, 'phone'],
  [/input|browser|microphone/, 'microphone'],
];

/** Return whether a warning is about the way between here and the gateway. */
export function isOfNetwork(name: string): boolean {
  return ABOUT[0][0].test(name);
}

/** Return what is wrong with the call, and what to do: the gateway's words in English, a table's in other languages. */
export function warningInWords(name: string, message: string): [string, string] {
  const about = ABOUT.find(([names]) => names.test(name))?.[1];
  return [known(`warning.${name}`) ?? message, known(`warning.${name}.next`) ?? known(`warning.${about}.next`) ?? ''];
}
