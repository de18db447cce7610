/** What is said about paying. Loaded with the parts that say it. */

import { addWords, failureInWords as callFailureInWords, known, t } from '.';
import type { CallFailure } from '../call/failure';
import type { Payment } from '../wire';
import { topUp } from './en/top-up';

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
export function failureInWords(failure: CallFailure): [string, string] {
  const { code, problem } = failure;
  const refusal = `problem.${problem?.code}`;
  const isWordless = code === 'request-refused' && !problem?.detail && !problem?.title;
  const [what, next] = isWordless ? [t('refused'), t('refused.next')] : callFailureInWords(failure);
  const isNetwork = code === 'offline' || code === 'gateway-unreachable';
  return [known(refusal) ?? what, known(`${refusal}.next`) ?? (isNetwork ? t('network.next') : next)];
}
