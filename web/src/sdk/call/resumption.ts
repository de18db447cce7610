/** When a lost socket is tried again. Pure. */

import { errorOfClose } from './error';

/** Pauses between attempts; the last one stays. */
const PAUSES_MS = [300, 600, 1200, 2500];

/** Return whether the gateway keeps the call of a socket that closed so. */
export function isKept(code: number): boolean {
  return ['connection_lost', 'gateway_busy'].includes(errorOfClose(code).code);
}

/** One absence: from the socket's loss until it is back or the gateway keeps the call no longer. */
export class Absence {
  #attempts = 0;

  /** Times in milliseconds; `keptMs` is how long the gateway waits. */
  constructor(
    private readonly sinceMs: number,
    private readonly keptMs: number,
  ) {}

  /** Return the pause before the next attempt; undefined when it would come too late. */
  next(nowMs: number): number | undefined {
    const pauseMs = PAUSES_MS[Math.min(this.#attempts, PAUSES_MS.length - 1)];
    this.#attempts++;
    return nowMs + pauseMs - this.sinceMs < this.keptMs ? pauseMs : undefined;
  }

  /** Another network: try fast again. */
  restart(): void {
    this.#attempts = 0;
  }
}
