/**
 * What is known of the call on screen, and how each message of the gateway changes it. Pure.
 */

import type { Ending, GatewayMessage, Lack, Money, Path, Rate, Sample, SupervisionMode } from '../wire';
import type { CallerError } from './error';

export type Phase = 'connecting' | 'ringing' | 'live' | 'ended';

export interface CallState {
  readonly phase: Phase;
  readonly destination: string;
  /** The gateway's name for the call, once it has it. */
  readonly callId?: string;
  /** Why the call fails or has been cut off, while its tone is heard. */
  readonly tone?: 'busy' | 'congestion' | 'cut-off';
  /** Prices are sent only to those who pay for the call. */
  readonly rate?: Rate | undefined;
  readonly balance?: Money | undefined;
  readonly remainingSeconds?: number | undefined;
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
  /** What somebody else in the call does, if that is announced to the caller; null for no one. */
  readonly supervised: SupervisionMode | null;
  readonly talking: { readonly browser: boolean; readonly carrier: boolean };
  /** Keys sent to the phone. */
  readonly sentDigits: string;
  /** Keys the phone sent. */
  readonly heardDigits: string;
  /** Warnings that stand: name -> the gateway's words. */
  readonly warnings: Readonly<Record<string, string>>;
  /** The socket is lost and being taken up again. */
  readonly away: boolean;
  /** Nothing has come from the gateway for a while: what was known of the line and of who speaks is not true any more. */
  readonly lost: boolean;
  /** Local monotonic milliseconds at which a lost call is cut, where that is known. */
  readonly cutAtMs?: number | undefined;
  /** How long the gateway keeps a lost call. */
  readonly keptSeconds: number;
  /** Local monotonic milliseconds at which a gateway that is being restarted ends the call. */
  readonly drainedAtMs?: number;
  readonly path: Path;
  readonly roundTripMs?: number | null;
  readonly quality?: LineQuality;
  /** Samples in a row that are unlike the quality shown. */
  readonly unlike: number;
  readonly ending?: Ending;
  /** It failed before any phone was dialled. */
  readonly unplaced?: boolean;
  readonly failure?: CallerError;
}

/** Return the state of a call whose button was just pressed. */
export function dialling(destination: string): CallState {
  return {
    phase: 'connecting',
    destination,
    muted: false,
    held: false,
    supervised: null,
    talking: { browser: false, carrier: false },
    sentDigits: '',
    heardDigits: '',
    warnings: {},
    away: false,
    lost: false,
    keptSeconds: 0,
    path: 'websocket',
    unlike: 0,
  };
}

/** Return the state after a message; `nowMs` is the local monotonic clock. */
export function received(state: CallState, message: GatewayMessage, nowMs: number): CallState {
  switch (message.type) {
    case 'ready':
      return {
        ...state,
        callId: message.call_id,
        rate: message.rate,
        destination: message.destination,
        keptSeconds: message.resume_seconds,
      };
    case 'ringing':
      return state.phase === 'connecting' ? { ...state, phase: 'ringing' } : state;
    case 'tone':
      return message.name === 'connecting' || message.name === 'ringback' ? state : failing(state, message.name, nowMs);
    case 'accept':
      return { ...state, phase: 'live', answeredAtMs: state.answeredAtMs ?? nowMs };
    case 'mute':
      return { ...state, muted: message.muted };
    case 'hold':
      return { ...state, held: message.held };
    case 'supervised':
      return { ...state, supervised: message.mode };
    case 'dtmf':
      return { ...state, heardDigits: keep(state.heardDigits + message.digit) };
    case 'talk':
      return { ...state, talking: { ...state.talking, [message.leg]: message.talking } };
    case 'cost':
      return { ...state, cost: message.cost, ...clockOf(state, message.seconds, nowMs) };
    case 'credit':
      return { ...state, balance: message.balance, remainingSeconds: message.remaining_seconds };
    case 'credit-warning':
      return {
        ...state,
        remainingSeconds: message.seconds_left,
        endWarning: { secondsLeft: message.seconds_left, cause: message.cause },
      };
    case 'credit-warning-cleared':
      return { ...state, endWarning: undefined };
    case 'draining':
      return { ...state, drainedAtMs: nowMs + 1000 * message.seconds_left };
    case 'sample':
      return sampled(state, message);
    case 'warning':
      return { ...state, warnings: { ...state.warnings, [message.name]: message.message } };
    case 'warning-cleared':
      return { ...state, warnings: without(state.warnings, message.name) };
    case 'cancel':
    case 'disconnect':
      return over(ended(state, nowMs), message);
    default:
      return state;
  }
}

/** Return the state that a call's last message leaves. */
function over(state: CallState, ending: Ending): CallState {
  return { ...state, ending, ...(ending.cost && { cost: ending.cost }) };
}

/** Return the state while a tone tells why the call fails; a call that is cut off has ended by then. */
function failing(state: CallState, tone: NonNullable<CallState['tone']>, nowMs: number): CallState {
  return tone === 'cut-off' ? { ...state, tone, endedAtMs: nowMs, endWarning: undefined } : { ...state, tone };
}

/** Return the state after the end; a failure says why the gateway could not. What was shown last may not be the cost. */
export function ended(before: CallState, nowMs: number, failure?: CallerError): CallState {
  if (before.phase === 'ended') return before;
  const { cost: _cost, ...state } = before;
  const unplaced = state.phase === 'connecting' && !state.lost;
  return { ...state, phase: 'ended', endedAtMs: state.endedAtMs ?? nowMs, ...(failure && { failure, unplaced }) };
}

/**
 * Return the state of a call whose gateway is not heard since then, in local monotonic milliseconds. One that is cut off
 * has ended: all that is heard while a tone says so is the tone.
 */
export function unheard(state: CallState, sinceMs: number): CallState {
  if (state.tone) return state;
  const { keptSeconds, quality: _quality, roundTripMs: _roundTripMs, ...rest } = state;
  const cutAtMs = keptSeconds ? sinceMs + 1000 * keptSeconds : undefined;
  return { ...rest, keptSeconds, lost: true, cutAtMs, unlike: 0, talking: { browser: false, carrier: false } };
}

/** Return the state of a call whose gateway is heard again. */
export function heardAgain(state: CallState): CallState {
  return { ...state, lost: false, cutAtMs: undefined };
}

/** Return who is heard speaking: no one on hold, and no one who is muted. */
export function speaking({ talking, muted, held }: CallState): CallState['talking'] {
  return { browser: talking.browser && !muted && !held, carrier: talking.carrier && !held };
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

/** Samples that must agree before another quality is shown: one bad second is no news. */
const AGREE = 3;

/** Return what a MOS means: from 4 users are satisfied, below 3.6 many are not (ITU-T G.107 annex B). */
export function lineQuality(mos: number): LineQuality {
  if (mos >= 4) return 'good';
  return mos >= 3.6 ? 'fair' : 'poor';
}

/** The worse direction is the line's quality. */
function sampled(state: CallState, { browser, carrier, rtt_ms: roundTripMs }: Sample): CallState {
  const quality = lineQuality(Math.min(browser.mos, carrier.mos));
  const unlike = quality === state.quality ? 0 : state.unlike + 1;
  const isNews = state.quality === undefined || unlike >= AGREE;
  return { ...state, roundTripMs, ...(isNews ? { quality, unlike: 0 } : { unlike }) };
}

/** A page that returns to a call learns from the charged seconds how long it has lasted. */
function clockOf({ answeredAtMs }: CallState, seconds: number, nowMs: number): Pick<CallState, 'answeredAtMs'> {
  return answeredAtMs === undefined ? {} : { answeredAtMs: Math.min(answeredAtMs, nowMs - 1000 * seconds) };
}

function without(warnings: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(warnings).filter(([key]) => key !== name));
}
