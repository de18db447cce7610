/** How a call went, in one word, from what the gateway says of its end. Pure. */

import type { Ending } from '../../sdk/core';

export type Outcome =
  | 'answered'
  | 'cancelled'
  | 'busy'
  | 'unanswered'
  | 'declined'
  | 'longest'
  | 'budget'
  | 'failed';

/** Causes of ITU-T Q.850 that a visitor can do something with. */
const CAUSES: Record<number, Outcome> = { 17: 'busy', 18: 'unanswered', 19: 'unanswered', 21: 'declined' };

/** Return the outcome; `ending` is missing where the visitor hung up before there was a call. */
export function outcomeOf(ending: Ending | undefined, wasAnswered: boolean): Outcome {
  if (ending?.cut_off) return ending.cut_off === 'duration' ? 'longest' : 'budget';
  if (wasAnswered) return 'answered';
  if (!ending || ending.ended_by === 'caller') return 'cancelled';
  return CAUSES[ending.cause] ?? 'failed';
}
