/**
 * Why a call could not start or go on: a code the page has words for, and what the gateway said, if it did.
 */

import type { Problem } from '../wire';

export type FailureCode =
  | 'insecure-page'
  | 'unsupported-browser'
  | 'microphone-refused'
  | 'microphone-missing'
  | 'microphone-busy'
  | 'microphone-timeout'
  | 'audio-blocked'
  | 'key-refused'
  | 'key-revoked'
  | 'request-refused'
  | 'offline'
  | 'gateway-unreachable'
  | 'connection-lost'
  | 'call-gone'
  | 'token-refused'
  | 'protocol-error'
  | 'gateway-failed'
  | 'gateway-busy'
  | 'page-crashed';

/** Ends a call, or keeps it from starting. */
export class CallFailure extends Error {
  constructor(
    readonly code: FailureCode,
    /** The gateway's own account of it. */
    readonly problem?: Partial<Problem>,
  ) {
    super(code);
  }
}

/** Return why nothing comes from the gateway. */
export function unreachable(): CallFailure {
  return new CallFailure(navigator.onLine ? 'gateway-unreachable' : 'offline');
}

/** Return whether it says that the gateway cannot be reached now, which is over as soon as it can be. */
export function isUnreachable(failure?: CallFailure): boolean {
  return failure?.code === 'offline' || failure?.code === 'gateway-unreachable';
}

/** Return any error as a failure; what nobody foresaw is a fault of the page. */
export function asFailure(error: unknown): CallFailure {
  return error instanceof CallFailure ? error : new CallFailure('page-crashed');
}

/** Close code of the media socket -> what it means to a caller (RFC 6455 7.4.1, and the gateway's own 44xx). */
const CLOSES: Record<number, FailureCode> = {
  1001: 'gateway-busy',
  1006: 'connection-lost',
  1008: 'token-refused',
  1011: 'gateway-failed',
  1012: 'gateway-busy',
  1013: 'gateway-busy',
};

/** Return what a close before the call's end means; the gateway's error message, if any, says more. */
export function failureOfClose(code: number, problem?: Partial<Problem>): CallFailure {
  return new CallFailure(CLOSES[code] ?? 'protocol-error', problem);
}

/** Names that getUserMedia rejects with (W3C Media Capture and Streams, 10.2). */
const MICROPHONE: Record<string, FailureCode> = {
  NotAllowedError: 'microphone-refused',
  SecurityError: 'microphone-refused',
  NotFoundError: 'microphone-missing',
  OverconstrainedError: 'microphone-missing',
  NotReadableError: 'microphone-busy',
  AbortError: 'microphone-busy',
};

/** Return what a refusal of getUserMedia means. */
export function failureOfMicrophone(error: unknown): CallFailure {
  if (error instanceof CallFailure) return error;
  const name = error instanceof DOMException ? error.name : '';
  return new CallFailure(MICROPHONE[name] ?? 'microphone-busy');
}
