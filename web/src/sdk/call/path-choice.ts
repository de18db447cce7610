/**
 * Which way the audio takes, and when the better one is tried again. Pure: told what is seen and when, it says what
 * to do; milliseconds of a monotonic clock.
 */

import type { Path } from '../wire';

/** What is seen of both ways at one instant. */
export interface Sight {
  /** WebRTC stands: ICE and DTLS are through, and no offer is under way. */
  up: boolean;
  /** The socket takes messages. */
  reachable: boolean;
  /** The phone's voice has to come: not before the answer, nor on hold. */
  due: boolean;
  /** RTP packets since the connection was made. */
  received: number;
  lost: number;
  /** Connectivity checks that the gateway has answered; undefined where the browser does not say. */
  answered?: number | undefined;
}

/** Take a path, offer WebRTC (anew), or leave it alone here. */
export type PathAction = Path | 'offer' | 'give-up';

/** WebRTC that stands so soon carries the call from its start; later it must have stood for a while. */
const EARLY_MS = 2500;
const STEADY_MS = 2000;

/** How long ICE may be down before the socket takes over. */
const GONE_MS = 2000;

/** How long the phone's voice may not come. What is held up before the gateway is not due: it says so sooner. */
const SILENT_MS = 600;

/** Share of packets lost, over a window, that is worse than the socket's delay. */
const LOSS_MAX = 0.1;
const LOSS_WINDOW_MS = 5000;

/** How long an offer may take to stand. */
const CONNECT_MS = 10_000;

/** Pause before the next offer: doubled each time, and short again after a minute that went well. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 30_000;
const GOOD_MS = 60_000;

/** How long the gateway may take to confirm a path. */
const CONFIRM_MS = 2000;

export class PathChoice {
  #path: Path = 'websocket';
  #since = 0;
  #firstOfferAt: number | undefined;
  #upSince: number | undefined;
  #downSince: number | undefined;
  /** Whether another offer has a chance: one stood before, or the network is another one. */
  #hasHope = false;
  /** What failed on the connection as it is; it is not taken again before another offer. */
  #isSpoilt = false;
  /** The gateway said that it hears nothing. */
  #isUnheard = false;
  /** Checks answered by now, and by when it failed: it is not mended before there are more. */
  #answered: number | undefined;
  #answeredBefore: number | undefined;
  #retryAt = Infinity;
  #retryMs = RETRY_MS_MIN;
  #askedAt = -Infinity;
  #heardAt = 0;
  #window: (Pick<Sight, 'received' | 'lost'> & { atMs: number })[] = [];

  get path(): Path {
    return this.#path;
  }

  /** An offer was sent. */
  offered(nowMs: number): void {
    this.#firstOfferAt ??= nowMs;
    this.#upSince = undefined;
    this.#isSpoilt = false;
    this.#retryAt = nowMs + Math.max(CONNECT_MS, this.#retryMs);
  }

  /** The gateway hears nothing of what is sent by WebRTC. */
  unheard(): void {
    this.#isUnheard = this.#path === 'webrtc';
  }

  /** The gateway takes no offer of this call. */
  refused(): void {
    this.#retryAt = Infinity;
  }

  /** The machine is on another network: what failed may work, and what worked may not. */
  networkChanged(nowMs: number): void {
    this.#retryMs = RETRY_MS_MIN;
    if (this.#firstOfferAt === undefined) return;
    this.#hasHope = true;
    this.#retryAt = nowMs;
  }

  /** The gateway says which path the phone's voice takes. */
  selected(path: Path, nowMs: number): void {
    if (path === this.#path) return;
    if (path === 'websocket') this.#leave(nowMs);
    else this.#enter(nowMs);
  }

  /** Return what to do now, if anything. Ask several times a second. */
  poll(nowMs: number, sight: Sight): PathAction | undefined {
    this.#note(nowMs, sight);
    if (this.#path === 'webrtc') {
      if (this.#isBroken(nowMs, sight)) {
        this.#leave(nowMs);
        return 'websocket';
      }
      if (nowMs - this.#since > GOOD_MS) this.#retryMs = RETRY_MS_MIN;
    }
    if (!sight.reachable) return undefined;
    if (nowMs >= this.#retryAt) return this.#tryAgain();
    if (this.#path === 'websocket' && this.#isWorthTaking(nowMs)) {
      this.#askedAt = nowMs;
      return 'webrtc';
    }
    return undefined;
  }

  #note(nowMs: number, { up, due, received, lost, answered }: Sight): void {
    this.#answered = answered;
    if (this.#answeredBefore !== undefined && answered !== undefined) {
      // Pairs of before a restart are forgotten, and their counts with them.
      this.#answeredBefore = Math.min(this.#answeredBefore, answered);
    }
    if (up) {
      if (this.#upSince === undefined) this.#retryAt = Infinity;
      this.#upSince ??= nowMs;
      this.#downSince = undefined;
      this.#hasHope = true;
    } else {
      // Down by itself, not for an offer, which has its own deadline.
      if (this.#upSince !== undefined) this.#retryAt = Math.min(this.#retryAt, nowMs + GONE_MS + this.#retryMs);
      this.#upSince = undefined;
      this.#downSince ??= nowMs;
    }
    const before = this.#window.at(-1);
    if (!due || received !== before?.received) this.#heardAt = nowMs;
    // A new connection counts from zero.
    if (before && received < before.received) this.#window = [];
    this.#window.push({ atMs: nowMs, received, lost });
    while (this.#window.length > 2 && this.#window[1].atMs <= nowMs - LOSS_WINDOW_MS) this.#window.shift();
  }

  #isBroken(nowMs: number, { due, received, lost }: Sight): boolean {
    if (this.#isUnheard) return true;
    if (this.#downSince !== undefined && nowMs - this.#downSince > GONE_MS) return true;
    if (!due) return false;
    if (nowMs - this.#heardAt > SILENT_MS) return true;
    const [first] = this.#window;
    const missing = lost - first.lost;
    const isWhole = nowMs - Math.max(first.atMs, this.#since) >= LOSS_WINDOW_MS;
    return isWhole && missing > LOSS_MAX * (missing + received - first.received);
  }

  #isWorthTaking(nowMs: number): boolean {
    if (this.#isSpoilt || this.#upSince === undefined || nowMs - this.#askedAt < CONFIRM_MS) return false;
    if (this.#answeredBefore !== undefined && this.#answered === this.#answeredBefore) return false;
    return nowMs - (this.#firstOfferAt ?? 0) <= EARLY_MS || nowMs - this.#upSince >= STEADY_MS;
  }

  #tryAgain(): PathAction {
    this.#retryAt = Infinity;
    return this.#hasHope ? 'offer' : 'give-up';
  }

  #enter(nowMs: number): void {
    this.#path = 'webrtc';
    this.#since = this.#heardAt = nowMs;
    this.#downSince = this.#answeredBefore = undefined;
    this.#isUnheard = false;
    this.#window = [];
  }

  #leave(nowMs: number): void {
    this.#path = 'websocket';
    this.#isSpoilt = true;
    this.#isUnheard = false;
    this.#answeredBefore = this.#answered;
    this.#retryAt = nowMs + this.#retryMs;
    this.#retryMs = Math.min(RETRY_MS_MAX, 2 * this.#retryMs);
  }
}
