/** What is said about paying. Loaded with the parts that say it. */

import type { Payment } from '../answers';
import type { CallerError } from '../sdk/core';
import { addWords, known, t } from '.';
import { failureInWords as callFailureInWords } from './figures';
import { topUp } from '../../../gateway/words/en/phone/top-up';

export { t } from '.';

addWords(topUp);

/** Return a payment's state in a word or two. */
export function stateInWords(state: Payment['state']): string {
  return known(`state.${state}`) ?? state;
}

/** Return why a payment failed. */
export function declineInWords({ failure }: Payment): string {
  return known(`failed.${failure}`) ?? t('failed');
}

/** Return why automatic top-ups were switched off. */
export function offInWords(reason: string): string {
  return known(`off.${reason}`) ?? t('off.other');
}

/** Return what failed, and what to do next; it is a payment, not a call, that is tried again. */
export function failureInWords(failure: CallerError): [string, string] {
  const { kind, problem } = failure;
  const refusal = `problem.${problem?.code}`;
  const isWordless = kind === 'request_refused' && !problem?.detail && !problem?.title;
  const [what, next] = isWordless ? [t('refused'), t('refused.next')] : callFailureInWords(failure);
  const isNetwork = kind === 'offline' || kind === 'gateway_unreachable';
  return [known(refusal) ?? what, known(`${refusal}.next`) ?? (isNetwork ? t('network.next') : next)];
}
