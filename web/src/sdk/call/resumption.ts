/** When a lost socket is tried again. Pure. */

import { errorOfClose } from './error';

/** Pauses before the first attempts, and before each of the others. */
const PAUSES_MS = [300, 600, 1200];
const LATER_PAUSE_MS = 2500;

/** Return whether the gateway keeps the call of a socket that closed so. */
export function isKept(code: number): boolean {
  return ['connection_lost', 'gateway_busy'].includes(errorOfClose(code).code);
}

/** How long a gateway takes to see that a page has vanished, from where it counts (gateway/roles/descriptors.py). */
const UNSEEN_MS = 10_000;

/** One absence: from the socket's loss until it is back or the gateway keeps the call no longer. */
export class Absence {
  #attempts = 0;
  readonly #untilMs: number;

  /** Times in milliseconds; `keptMs` is how long the gateway waits once it sees the loss. */
  constructor(sinceMs: number, keptMs: number) {
    this.#untilMs = sinceMs + keptMs + UNSEEN_MS;
  }

  /** Return the pause before the next attempt; undefined when it would come too late. */
  next(nowMs: number): number | undefined {
    const pauseMs = PAUSES_MS[this.#attempts++] ?? LATER_PAUSE_MS;
    return nowMs + pauseMs < this.#untilMs ? pauseMs : undefined;
  }

  /** Another network: try fast again. */
  restart(): void {
    this.#attempts = 0;
  }
}
