/**
 * Keeps loud samples from being clipped. A curve, not a gain: it follows no level, so speech below the knee is
 * untouched and nothing pumps. Pure.
 */

/** Level above which the curve bends: -3 dB of full scale, which speech at a usual level hardly reaches. */
const KNEE = 0.7;

/** Largest sample that mu-law codes as it is (ITU-T G.711): 32635 of 32768. */
const CEILING = 32635 / 32768;

const ROOM = CEILING - KNEE;

/** Return the sample, bent towards the ceiling and never beyond it. */
export function limit(sample: number): number {
  const over = Math.abs(sample) - KNEE;
  return over <= 0 ? sample : Math.sign(sample) * (KNEE + ROOM * Math.tanh(over / ROOM));
}
