/**
 * The pitch period of voiced speech: the lag at which a signal resembles itself most. Pure.
 */

/** Periods searched, in samples at 8 kHz: 200 Hz down to 66 Hz, as ITU-T G.711 Appendix I. */
export const PITCH_MIN = 40;
export const PITCH_MAX = 120;

export interface Match {
  /** Best lag in samples. */
  lag: number;
  /** Normalised correlation at that lag, -1 to 1. */
  similarity: number;
}

/** Compare `span(lag)` samples from `start` with those `lag` earlier (or later, if negative), for every lag. */
function bestLag(x: Float32Array, start: number, span: (lag: number) => number, sign: 1 | -1): Match {
  const best: Match = { lag: PITCH_MIN, similarity: -1 };
  for (let lag = PITCH_MIN; lag <= PITCH_MAX; lag++) {
    let cross = 0;
    let energyHere = 1e-9;
    let energyThere = 1e-9;
    const end = start + span(lag);
    // Every second sample decides as well as all of them, for half the work.
    for (let i = start; i < end; i += 2) {
      const here = x[i];
      const there = x[i + sign * lag];
      cross += here * there;
      energyHere += here * here;
      energyThere += there * there;
    }
    const similarity = cross / Math.sqrt(energyHere * energyThere);
    if (similarity > best.similarity) {
      best.lag = lag;
      best.similarity = similarity;
    }
  }
  return best;
}

/** Samples compared at the end of a history. */
const WINDOW = 160;

/** Return the period at the end of a signal of at least WINDOW + PITCH_MAX samples. */
export function trailingPitch(x: Float32Array): Match {
  return bestLag(x, x.length - WINDOW, () => WINDOW, -1);
}

/** Return the period at the head of a signal of 2 x PITCH_MAX samples: one to remove unheard. */
export function leadingPitch(x: Float32Array): Match {
  return bestLag(x, 0, (lag) => lag, 1);
}

/** Return the energy of `count` samples from `start`. */
export function energy(x: Float32Array, start: number, count: number): number {
  let sum = 0;
  for (let i = start; i < start + count; i++) sum += x[i] * x[i];
  return sum;
}
