/** What is said beside a call, in the language that index.ts chose. Loaded with the parts that say it. */

import type { CheckResult } from '../wire';
import { en } from './tools-en';
import type { Strings } from './tools-en';

export type Key = keyof typeof en;

/** Languages besides English -> their table. */
const OTHERS: Record<string, () => Promise<Strings>> = {
  de: async () => (await import('./tools-de')).de,
};

/** Speech below this is hard to hear on a telephone, in dBov: 20 dB under its usual level (ITU-T P.56). */
const QUIET_DBOV = -46;

let strings: Strings = en;

const { lang } = document.documentElement;
if (lang in OTHERS) strings = await OTHERS[lang]();

/** Return the text, its {names} filled in. */
export function t(key: Key, values: Record<string, string> = {}): string {
  return strings[key].replace(/\{(\w+)\}/g, (_, name: string) => values[name]);
}

/** Return how calls will sound and what to do: the gateway's words in English, a table's in other languages. */
export function verdictInWords({ verdict, message, action, level_dbov: level }: CheckResult): [string, string] {
  if (verdict === 'good' && level < QUIET_DBOV) return [t('quiet'), t('quiet.next')];
  return [strings[`verdict.${verdict}.what`] ?? message, strings[`verdict.${verdict}.next`] ?? action];
}
