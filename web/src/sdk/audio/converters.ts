/**
 * The two conversions of the browser leg: the sound card's rate to 8 kHz, and back. Pure.
 */

import { CUTOFF_HZ, RATE_HZ } from './format';
import { Resampler } from './resampler';

/** Length of the capture filter in 8 kHz samples: 3 ms, its slope -71 dB at 4.6 kHz. */
const CAPTURE_SPAN = 24;

/** Return a converter from the sound card's rate; its low-pass keeps what 8 kHz cannot hold from folding back. */
export function captureConverter(contextHz: number): Resampler {
  const taps = 2 * Math.ceil(((contextHz / RATE_HZ) * CAPTURE_SPAN) / 2);
  return new Resampler(contextHz, RATE_HZ, { taps, cutoffHz: CUTOFF_HZ, phases: 64, beta: 6.5 });
}

/** Return a converter to the sound card's rate; its filter removes the images above 4 kHz. */
export function playbackConverter(contextHz: number): Resampler {
  return new Resampler(RATE_HZ, contextHz, { taps: 32, cutoffHz: CUTOFF_HZ, phases: 128, beta: 7 });
}
