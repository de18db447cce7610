/**
 * When what the page shows of the account is read again: soon while a call goes on somewhere, now and then while none
 * is known to, later and later where that fails, and at once after what may have changed it. Only while the page is
 * looked at. Knows neither what is read nor who shows it.
 */

/** Pauses in milliseconds: while a call goes on, and while none is known to. */
const LIVE_MS = 2000;
const IDLE_MS = 10_000;

/** Least time between two readings in any case. */
const PAUSE_MS_MIN = 500;

/** Pauses after failures double up to this. */
const PAUSE_MS_MAX = 30_000;

/** Return how long to wait after a reading, in milliseconds; `failures` counts those in a row. */
export function pauseAfter(goesOn: boolean, failures: number): number {
  if (failures) return Math.min(PAUSE_MS_MAX, LIVE_MS * 2 ** (failures - 1));
  return goesOn ? LIVE_MS : IDLE_MS;
}

export interface Followed {
  /** Whether something goes on that changes by itself. */
  goesOn(): boolean;
  /** Read again; return whether that went well. */
  refresh(): Promise<boolean>;
}

/** Follows for as long as the page is open. */
export class Following {
  /** Tells the other tabs of this browser that something has changed. */
  readonly #tabs = new BroadcastChannel('caller');
  #timer = 0;
  #failures = 0;
  #readAtMs = -Infinity;
  #isReading = false;
  #isWanted = false;

  constructor(private readonly followed: Followed) {
    this.#tabs.onmessage = this.#soon;
    window.addEventListener('online', this.#soon);
    document.addEventListener('visibilitychange', this.#soon);
    this.#wait(false);
  }

  /** What is shown has just been read, for it has changed: let the other tabs read it as well. */
  changed(): void {
    this.#tabs.postMessage('');
    this.#wait(false);
  }

  readonly #soon = (): void => this.#wait(true);

  #wait(isWanted: boolean): void {
    this.#isWanted ||= isWanted;
    window.clearTimeout(this.#timer);
    if (document.hidden || this.#isReading) return;
    const pauseMs = this.#isWanted ? PAUSE_MS_MIN : pauseAfter(this.followed.goesOn(), this.#failures);
    const dueMs = (this.#isWanted ? this.#readAtMs : performance.now()) + pauseMs;
    this.#timer = window.setTimeout(() => void this.#read(), dueMs - performance.now());
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    this.#isWanted = false;
    this.#failures = (await this.followed.refresh()) ? 0 : this.#failures + 1;
    this.#readAtMs = performance.now();
    this.#isReading = false;
    this.#wait(false);
  }
}
