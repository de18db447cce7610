/**
 * What the loader in the host page and the frame say to each other, version 1. Each end takes a message only from the
 * one window and the one origin that it must come from. Knows neither end.
 */

import type { Money } from '../sdk/core';

/** Every message carries it as `caller`; a later version speaks by another number. */
export const VERSION = 1;

/**
 * How long the frame may take to say `ready` over a slow network; and, once all of it is there, its word. A frame that is
 * refused is there at once and says nothing: browsers tell its load like any other (HTML, 7.4.2.2).
 */
export const READY_MS = 20_000;
export const LOADED_MS = 1500;

/** What the host page has for a call. */
export interface SignedToken {
  /** What `POST /v1/call-tokens` has answered the owner's back end: good for one call within a minute. */
  token?: string;
  /** The code of its refusal. */
  code?: string;
  /** What the operator's check of persons has given the page, where there is one and the call is not signed. */
  human?: string;
}

/** From the host page to the frame. */
export type ToFrame =
  /** Answers `sign`; without anything where the host page has nothing to say. */
  { type: 'token'; token: SignedToken | undefined } | { type: 'hang-up' };

/** How a call went. */
export interface Ended {
  /** In one word; see frame/outcome.ts. */
  outcome: string;
  /** Of talk. */
  seconds: number;
  /** Null if the gateway does not send it, to people who do not pay for the call. */
  cost: Money | null;
}

/**
 * From the frame to the host page; what an owner may listen to is fired there as `caller-…`. During a call each message
 * has what would be told if it ended now, as `now`, and one comes with each second of it: a frame that is gone tells nothing.
 */
export type FromFrame =
  | { type: 'ready' }
  /** A call is about to begin: is it signed, and who says that a person makes it? */
  | { type: 'sign' }
  /** What the frame would be high enough with, in CSS pixels. */
  | { type: 'size'; height: string }
  | { type: 'close' }
  | { type: 'connecting' }
  | { type: 'ringing' }
  | { type: 'accept' }
  | { type: 'mute'; muted: boolean }
  | ({ type: 'ended' } & Ended)
  | { type: 'error'; code: string; retry: boolean };
