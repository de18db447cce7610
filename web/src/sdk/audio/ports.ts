/**
 * What the page, the audio worklets and the media connection post to each other. Audio frames travel between
 * worklet and connection on ports of their own, as bare ArrayBuffers, so that a busy page cannot delay them.
 */

import type { ClientMessage, FirstMessage, GatewayMessage } from '../wire';
import type { JitterStats } from './jitter-buffer';

/** The two ends of the audio that the media connection holds. */
export interface AudioPorts {
  uplink: MessagePort;
  downlink: MessagePort;
}

export type ToConnection =
  | { kind: 'open'; url: string; first: FirstMessage }
  | ({ kind: 'attach' } & AudioPorts)
  | { kind: 'send'; message: ClientMessage }
  | { kind: 'probe' }
  | { kind: 'close' };

export type FromConnection =
  | { kind: 'message'; message: GatewayMessage }
  | { kind: 'round-trip'; ms: number }
  | { kind: 'closed'; code: number };

/** `up`: the worker runs, and takes what it is posted. */
export type FromWorker = FromConnection | { kind: 'up' };

/** `sending`: the microphone, else silence; `framing`: frames at all, else none. */
export type ToCapture = { port: MessagePort } | { sending: boolean; framing: boolean };

/** Level of the last 100 ms; exactly 0 only when the microphone delivers nothing. */
export interface FromCapture {
  rms: number;
}

/** `playing`: what comes, else nothing. */
export type ToPlayback = { port: MessagePort } | { playing: boolean };

export interface FromPlayback {
  rms: number;
  bufferMs: number;
  jitterMs: number;
  stats: JitterStats;
}

export const CAPTURE = 'caller-capture';
export const PLAYBACK = 'caller-playback';
