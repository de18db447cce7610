/** The gateway's routes for visitors. */

import { CallerError, unreachable } from '../../sdk/core';
import type { CallToken, Problem } from '../../sdk/core';
import type { Challenge } from './proof';

const TIMEOUT_MS = 8000;

/** `GET /v1/embed/{key}`. */
export interface Status {
  state: 'open' | 'closed' | 'paused' | 'unavailable';
  mode: 'live' | 'test';
  /** RFC 3339; null while open, and where it does not open any more. */
  opens_at: string | null;
  /** Of the IANA database. */
  zone: string;
  /** Each day's spans in minutes from its midnight, Monday first. */
  hours: [start: number, end: number][][];
  /** Who answers, as the owner calls it. */
  name: string;
  seconds_max: number;
  /** Whether what visitors say of calls is kept. */
  takes_feedback: boolean;
  operator: { name: string; privacy_url: string };
}

export class EmbedApi {
  /** When the last refusal may be over, in seconds from then; 0 where it did not say. */
  retryAfterS = 0;

  /** `base` is the gateway's address, `key` the button's publishable key. */
  constructor(
    private readonly base: URL,
    private readonly key: string,
  ) {}

  /** Read how the button stands. Throws CallerError. */
  status(): Promise<Status> {
    return this.#ask('');
  }

  /** Ask for a challenge. Throws CallerError. */
  async challenge(): Promise<Challenge> {
    return (await this.#ask<{ challenge: Challenge }>('/challenges', {})).challenge;
  }

  /**
   * Ask for the token of one call, for a solution or for what the owner has signed; `host` is the origin of the page
   * around ours, empty where there is none. Throws CallerError.
   */
  token(given: { solution: string; human?: string } | { token: string }, host: string): Promise<CallToken> {
    return this.#ask('/call-tokens', { ...given, host });
  }

  /** Say how a call was, in stars. Throws CallerError. */
  feedback(callId: string, stars: number): Promise<unknown> {
    return this.#ask(`/calls/${callId}/feedback`, { stars }, 'PUT');
  }

  async #ask<T>(path: string, body?: object, method = 'POST'): Promise<T> {
    const response = await fetch(new URL(`v1/embed/${this.key}${path}`, this.base), {
      ...(body && { method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch(() => {
      throw unreachable();
    });
    if (response.ok) return response.json() as Promise<T>;
    this.retryAfterS = Number(response.headers.get('Retry-After'));
    const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
    // What is no problem of the gateway's is a proxy's answer in place of it.
    if (!problem.code) throw unreachable();
    throw new CallerError('request_refused', { ...problem, status: response.status });
  }
}
