/** A token that waits for its call: good once, and for a while. Pure: milliseconds of a monotonic clock. */

import { CallerError } from './call/error';
import type { CallToken } from './wire';

/** How long before a token expires that is reported. */
const TOLD_MS = 10_000;

export class WaitingToken {
  #token: CallToken | undefined;
  #expiresAtMs = Infinity;

  /** Take a token that was got just now. */
  put(token: CallToken, nowMs: number): void {
    this.#token = token;
    const { expires_in_seconds: seconds = Infinity } = token;
    this.#expiresAtMs = nowMs + 1000 * seconds;
  }

  /** Return how long until the token's expiry is to be reported; undefined if it never is. */
  warnInMs(nowMs: number): number | undefined {
    if (!this.#token || this.#expiresAtMs === Infinity) return undefined;
    return Math.max(0, this.#expiresAtMs - TOLD_MS - nowMs);
  }

  /** Return the token, once, if it is still good. */
  take(nowMs: number): CallToken | undefined {
    const token = nowMs < this.#expiresAtMs ? this.#token : undefined;
    if (token) this.#token = undefined;
    return token;
  }

  /** Return why there is none. */
  lack(): CallerError {
    return new CallerError(this.#token ? 'token_expired' : 'token_missing');
  }
}
