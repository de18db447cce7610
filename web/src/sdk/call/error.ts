/**
 * Why a call could not start or go on: one kind of error, whether the browser, the network or the gateway is the
 * reason. Knows the kinds; their words are in ../error-words.ts, and come with whoever has no others.
 */

import type { GatewayCode, OwnCode, OwnWords } from '../error-words';
import type { Problem } from '../wire';

/** A newer gateway may say others. */
export type ErrorCode = OwnCode | GatewayCode | (string & {});

let words: Partial<OwnWords> = {};

/** Let errors say themselves in these words from now on. */
export function speak(own: OwnWords): void {
  words = own;
}

/** Ends a call, or keeps it from starting. */
export class CallerError extends Error {
  /** The gateway's own code if it said one, else the same as `kind`. */
  readonly code: ErrorCode;
  /** What has happened, in a sentence. */
  readonly title: string;
  /** What to do next, in a sentence; empty where that is obvious. */
  readonly action: string;
  /** Whether the same may succeed if it is tried again. */
  readonly retry: boolean;

  /** `problem` is what the gateway said of it. */
  constructor(
    readonly kind: OwnCode,
    readonly problem?: Partial<Problem>,
    options?: ErrorOptions,
  ) {
    const [title = kind, action = '', retry = false] = words[kind] ?? [];
    const said = problem?.detail ?? problem?.title;
    super(said ?? title, options);
    this.name = 'CallerError';
    this.code = problem?.code ?? kind;
    this.title = this.message;
    this.action = problem?.action ?? (said ? '' : action);
    this.retry = problem?.retry ?? retry;
  }
}

/** Return why nothing comes from the gateway. */
export function unreachable(): CallerError {
  return new CallerError(navigator.onLine ? 'gateway_unreachable' : 'offline');
}

/** Return whether it says that the gateway cannot be reached now, which is over as soon as it can be. */
export function isUnreachable(failure?: CallerError): boolean {
  return failure?.kind === 'offline' || failure?.kind === 'gateway_unreachable';
}

/** Return any error as one of ours; an unforeseen one is a fault of the page. */
export function asCallerError(error: unknown, kind: OwnCode = 'page_crashed'): CallerError {
  return error instanceof CallerError ? error : new CallerError(kind, undefined, { cause: error });
}

/** Close code of the media socket -> what it means to a caller (RFC 6455 7.4.1, and the gateway's own 44xx). */
const CLOSES: Record<number, OwnCode> = {
  1001: 'gateway_busy',
  1006: 'connection_lost',
  1008: 'token_refused',
  1011: 'gateway_failed',
  1012: 'gateway_busy',
  1013: 'gateway_busy',
};

/** Return what a close before the call's end means; the gateway's error message, if any, says more. */
export function errorOfClose(code: number, problem?: Partial<Problem>): CallerError {
  return new CallerError(CLOSES[code] ?? 'protocol_error', problem);
}

/**
 * Names that getUserMedia rejects with (W3C Media Capture and Streams, 10.2), but those of a device that is in use or
 * fails. None is of constraints that no device meets: each is ideal alone (sound-choice.ts).
 */
const MICROPHONE: Record<string, OwnCode> = {
  NotAllowedError: 'microphone_refused',
  SecurityError: 'microphone_refused',
  NotFoundError: 'microphone_missing',
};

/** Return what a refusal of getUserMedia means. */
export function errorOfMicrophone(error: unknown): CallerError {
  return asCallerError(error, MICROPHONE[(error as Error).name] ?? 'microphone_busy');
}
