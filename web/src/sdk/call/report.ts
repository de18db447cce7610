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

const COUNTS = ['packets', 'lost', 'concealedMs'] as const;

type Counts = Record<(typeof COUNTS)[number], number>;

export class ReportSum {
  readonly #total: Counts = { packets: 0, lost: 0, concealedMs: 0 };
  readonly #seen: Partial<Record<Path, Counts>> = {};

  /** Leave out what this path has counted so far: nobody was to hear it. */
  ignore(path: Path, heard: Heard): void {
    this.#seen[path] = heard;
  }

  /** Return the report after what this path has brought by now. */
  add(path: Path, heard: Heard): Report {
    const before = this.#seen[path];
    // A path that was opened again counts from zero.
    const isSame = before && before.packets <= heard.packets;
    for (const name of COUNTS) this.#total[name] += Math.max(0, heard[name] - (isSame ? before[name] : 0));
    this.#seen[path] = heard;
    return {
      packets: this.#total.packets,
      lost: this.#total.lost,
      concealed_ms: round(this.#total.concealedMs),
      jitter_ms: bounded(heard.jitterMs),
      buffer_ms: bounded(heard.bufferMs),
      rtt_ms: heard.roundTripMs === null ? null : bounded(heard.roundTripMs),
    };
  }
}

/** The gateway ends a call whose report is beyond this; no figure is worth that, whatever a browser says. */
const MS_MAX = 600_000;

const bounded = (value: number): number => (value > 0 ? Math.min(round(value), MS_MAX) : 0);

const round = (value: number): number => Math.round(10 * value) / 10;
