/** What is said about paying, in the language that index.ts chose. Loaded with the parts that say it. */

import { failureInWords as callFailureInWords } from '.';
import type { CallFailure } from '../call/failure';
import type { Payment } from '../wire';
import { en } from './top-up-en';
import type { Strings } from './top-up-en';

export type Key = keyof typeof en;

/** Languages besides English -> their table. */
const OTHERS: Record<string, () => Promise<Strings>> = {
  de: async () => (await import('./top-up-de')).de,
};

let strings: Strings = en;

const { lang } = document.documentElement;
if (lang in OTHERS) strings = await OTHERS[lang]();

/** Return the text, its {names} filled in. */
export function t(key: Key, values: Record<string, string> = {}): string {
  return strings[key].replace(/\{(\w+)\}/g, (_, name: string) => values[name]);
}

/** Return a payment's state in a word or two. */
export function stateInWords(state: Payment['state']): string {
  return strings[`state.${state}`] ?? state;
}

/** Return why a payment failed. */
export function declineInWords({ failure }: Payment): string {
  return strings[`failed.${failure}`] ?? t('failed');
}

/** Return why automatic top-ups were switched off. */
export function offInWords(reason: string): string {
  return strings[`off.${reason}`] ?? t('off.other');
}

/** Return what failed, and what to do next; it is a payment, not a call, that is tried again. */
export function failureInWords(failure: CallFailure): [string, string] {
  const { code, problem } = failure;
  const known = `problem.${problem?.code}`;
  const isWordless = code === 'request-refused' && !problem?.detail && !problem?.title;
  const [what, next] = isWordless ? [t('refused'), t('refused.next')] : callFailureInWords(failure);
  const isNetwork = code === 'offline' || code === 'gateway-unreachable';
  return [strings[known] ?? what, strings[`${known}.next`] ?? (isNetwork ? t('network.next') : next)];
}
