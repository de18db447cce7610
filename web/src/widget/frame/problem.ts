/** What keeps a visitor from talking, and which ways out there are. */

import { hasNext } from './words';
import type { KeyWithNext } from './words';

/** A code that there are words for: the gateway's own (gateway/errors.py), the SDK's, and the frame's. */
export type Problem = KeyWithNext;

/** Codes that mean the same to a visitor as another. */
const ALIKE: Record<string, Problem> = {
  challenge_wrong: 'challenge',
  challenge_used: 'challenge',
  token_refused: 'challenge',
  human_check_failed: 'human',
  human_check_unavailable: 'human',
  button_not_found: 'not_found',
  rate_limited: 'button_limited',
  calls_limited: 'button_limited',
  cap_reached: 'budget_reached',
  too_many_calls: 'button_busy',
  call_gone: 'connection_lost',
  gateway_failed: 'gateway_busy',
};

/** Trying again changes nothing. */
const FINAL: readonly Problem[] = ['not_found', 'bad_origin', 'blocked_by_page', 'unsupported_browser', 'insecure_page'];

/** A page of our own, or a phone of one's own, may help. */
const LOCAL: readonly Problem[] = [
  'bad_origin',
  'blocked_by_page',
  'microphone_refused',
  'microphone_missing',
  'microphone_busy',
  'audio_blocked',
  'unsupported_browser',
  'insecure_page',
];

/** Return what a code means to a visitor. */
export function problemOf(code: string): Problem {
  const meant = Object.hasOwn(ALIKE, code) ? ALIKE[code] : code;
  return hasNext(meant) ? meant : 'unforeseen';
}

/** Return a code that the owner's back end has handed on; what concerns the owner alone says no more than that. */
export function signedCodeOf(code: string): string {
  return code === 'button_closed' || problemOf(code) !== 'unforeseen' ? code : 'button_unavailable';
}

/** Return whether a second try may succeed. */
export function mayTryAgain(problem: Problem): boolean {
  return !FINAL.includes(problem);
}

/** Return whether another page or machine may be without it. */
export function isLocal(problem: Problem): boolean {
  return LOCAL.includes(problem);
}
