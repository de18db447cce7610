/**
 * Adds up what is heard by either path, for the report that counts from the start of the call. Pure.
 */

import type { Path, Report } from '../wire';

/** What one path has brought since it was opened. */
export interface Heard {
  packets: number;
  lost: number;
  concealedMs: number;
  jitterMs: number;
  bufferMs: number;
  roundTripMs: number | null;
  /** Connectivity checks answered; undefined where there are none, or the browser does not say. */
  answered?: number | undefined;
}

export type HeardByPath = Partial<Record<Path, Heard | undefined>>;

export class ReportSum {
  #packets = 0;
  #lost = 0;
  #concealedMs = 0;
  #path: Path | undefined;
  #seen: HeardByPath = {};

  /**
   * Take in what each path has brought by now, given the one that is heard. What comes by the other one counts as well:
   * it was sent while that one was heard, and arrives around the change.
   */
  take(heard: HeardByPath, path: Path): void {
    for (const each of ['webrtc', 'websocket'] as const) {
      const now = heard[each];
      if (!now) continue;
      const before = this.#seen[each];
      // A path that was opened again counts from zero.
      const since = before && before.packets <= now.packets ? before : NOTHING;
      this.#packets += now.packets - since.packets;
      // A packet that was lost and comes after all takes nothing back.
      this.#lost += Math.max(0, now.lost - since.lost);
      // Silence of the sender is concealed as well, until the first look after a change.
      if (each === path && path === this.#path) this.#concealedMs += Math.max(0, now.concealedMs - since.concealedMs);
      this.#seen[each] = now;
    }
    this.#path = path;
  }

  /** Return the report; undefined before anything was heard by the path that is heard. */
  report(): Report | undefined {
    const now = this.#path && this.#seen[this.#path];
    return (
      now && {
        packets: this.#packets,
        lost: this.#lost,
        concealed_ms: round(this.#concealedMs),
        jitter_ms: bounded(now.jitterMs),
        buffer_ms: bounded(now.bufferMs),
        rtt_ms: now.roundTripMs === null ? null : bounded(now.roundTripMs),
      }
    );
  }
}

const NOTHING = { packets: 0, lost: 0, concealedMs: 0 };

/** The gateway ends a call whose report is beyond this; no figure is worth that, no matter what a browser says. */
const MS_MAX = 600_000;

const bounded = (value: number): number => (value > 0 ? Math.min(round(value), MS_MAX) : 0);

const round = (value: number): number => Math.round(10 * value) / 10;
