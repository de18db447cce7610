/** How a call went, in one word, from what the gateway says of its end. Pure. */

import type { Ending } from '../../sdk/core';

export const OUTCOMES = [
  'answered',
  'cancelled',
  'busy',
  'unanswered',
  'declined',
  'longest',
  'budget',
  'closed_button',
  'failed',
] as const;

export type Outcome = (typeof OUTCOMES)[number];

/** Causes of ITU-T Q.850 that a visitor can do something with. */
const CAUSES: Record<number, Outcome> = { 17: 'busy', 18: 'unanswered', 19: 'unanswered', 21: 'declined' };

/** FreeSWITCH's, as the gateway names it: the button's owner has ended its calls, or the operator has. */
const MANAGER_REQUEST = 504;

/** Return the outcome; `ending` is missing where the visitor hung up before there was a call. */
export function outcomeOf(ending: Ending | undefined, wasAnswered: boolean): Outcome {
  if (ending?.cut_off) return ending.cut_off === 'duration' ? 'longest' : 'budget';
  if (ending?.cause === MANAGER_REQUEST) return 'closed_button';
  if (wasAnswered) return 'answered';
  if (!ending || ending.ended_by === 'caller') return 'cancelled';
  return CAUSES[ending.cause] ?? 'failed';
}

/** Return why the carrier placed no call, and what to do, in one sentence of this language; undefined where it did not say. */
export function toldIn(ending: Ending | undefined, language: string): string | undefined {
  return ending?.messages?.[language];
}
