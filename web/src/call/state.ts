/**
 * What is known of the call on screen, and how each message of the gateway changes it. Pure.
 */

import type { Ending, GatewayMessage, Lack, Money, Rate } from '../wire';
import type { CallFailure } from './failure';

export type Phase = 'connecting' | 'ringing' | 'live' | 'ended';

export interface CallState {
  readonly phase: Phase;
  readonly destination: string;
  /** Why the call fails or has been cut off, while its tone is heard. */
  readonly tone?: 'busy' | 'congestion' | 'cut-off';
  readonly rate?: Rate;
  readonly balance?: Money;
  readonly remainingSeconds?: number;
  /** The last warning that the call will soon be cut off, unless it was taken back. */
  readonly endWarning?: { readonly secondsLeft: number; readonly cause: Lack } | undefined;
  /** Charged so far. */
  readonly cost?: Money;
  /** Local monotonic milliseconds of the answer. */
  readonly answeredAtMs?: number;
  /** Local monotonic milliseconds of the end. */
  readonly endedAtMs?: number;
  readonly muted: boolean;
  readonly held: boolean;
  readonly talking: { readonly browser: boolean; readonly carrier: boolean };
  /** Keys sent to the phone. */
  readonly sentDigits: string;
  /** Keys the phone sent. */
  readonly heardDigits: string;
  /** Warnings that stand: name -> the gateway's words. */
  readonly warnings: Readonly<Record<string, string>>;
  readonly roundTripMs?: number;
  readonly bufferMs?: number;
  readonly ending?: Ending;
  readonly failure?: CallFailure;
}

/** Return the state of a call whose button was just pressed. */
export function dialling(destination: string): CallState {
  return {
    phase: 'connecting',
    destination,
    muted: false,
    held: false,
    talking: { browser: false, carrier: false },
    sentDigits: '',
    heardDigits: '',
    warnings: {},
  };
}

/** Return the state after a message; `nowMs` is the local monotonic clock. */
export function received(state: CallState, message: GatewayMessage, nowMs: number): CallState {
  switch (message.type) {
    case 'ready':
      return { ...state, rate: message.rate, destination: message.destination };
    case 'ringing':
      return state.phase === 'connecting' ? { ...state, phase: 'ringing' } : state;
    case 'tone':
      return message.name === 'ringback' ? state : failing(state, message.name, nowMs);
    case 'accept':
      return { ...state, phase: 'live', answeredAtMs: nowMs };
    case 'mute':
      return { ...state, muted: message.muted };
    case 'hold':
      return { ...state, held: message.held };
    case 'dtmf':
      return { ...state, heardDigits: keep(state.heardDigits + message.digit) };
    case 'talk':
      return { ...state, talking: { ...state.talking, [message.leg]: message.talking } };
    case 'cost':
      return { ...state, cost: message.cost };
    case 'credit':
      return { ...state, balance: message.balance, remainingSeconds: message.remaining_seconds };
    case 'credit-warning':
      return { ...state, endWarning: { secondsLeft: message.seconds_left, cause: message.cause } };
    case 'credit-warning-cleared':
      return { ...state, endWarning: undefined };
    case 'warning':
      return { ...state, warnings: { ...state.warnings, [message.name]: message.message } };
    case 'warning-cleared':
      return { ...state, warnings: without(state.warnings, message.name) };
    case 'cancel':
    case 'disconnect':
      return { ...ended(state, nowMs), ending: message, cost: message.cost };
    default:
      return state;
  }
}

/** Return the state while a tone tells why the call fails; a call that is cut off has ended by then. */
function failing(state: CallState, tone: NonNullable<CallState['tone']>, nowMs: number): CallState {
  return tone === 'cut-off' ? { ...state, tone, endedAtMs: nowMs, endWarning: undefined } : { ...state, tone };
}

/** Return the state after the end; a failure says why the gateway could not. */
export function ended(state: CallState, nowMs: number, failure?: CallFailure): CallState {
  if (state.phase === 'ended') return state;
  return { ...state, phase: 'ended', endedAtMs: state.endedAtMs ?? nowMs, ...(failure && { failure }) };
}

/** Return the digits of the last keys, as many as a line shows. */
export function keep(digits: string): string {
  return digits.slice(-24);
}

/** Return whole seconds since the answer; 0 before it. */
export function elapsedSeconds(state: CallState, nowMs: number): number {
  if (state.answeredAtMs === undefined) return 0;
  return Math.max(0, Math.floor(((state.endedAtMs ?? nowMs) - state.answeredAtMs) / 1000));
}

export type LineQuality = 'good' | 'fair' | 'poor';

/**
 * Return how the line will feel, from the mouth-to-ear delay of the part we see: ITU-T G.114 finds
 * 150 ms unnoticed and 400 ms the limit; the carrier's part is taken as 60 ms.
 */
export function lineQuality(state: CallState): LineQuality | undefined {
  if (state.roundTripMs === undefined) return undefined;
  const delayMs = state.roundTripMs / 2 + (state.bufferMs ?? 0) + 60;
  if (delayMs <= 200) return 'good';
  return delayMs <= 400 ? 'fair' : 'poor';
}

function without(warnings: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(warnings).filter(([key]) => key !== name));
}
