/**
 * G.711 mu-law to and from floating-point samples (ITU-T G.711, table 2a).
 */

/** Added to a magnitude before it is coded: 33 of 14 bits, in 16-bit units. */
const BIAS = 132;

/** Largest 16-bit magnitude that still codes after the bias is added. */
const CLIP = 32635;

const FULL_SCALE = 32768;

/** The code of positive zero. */
export const MULAW_SILENCE = 0xff;

/** Code -> sample between -1 and 1. */
export const MULAW_DECODE = Float32Array.from({ length: 256 }, (_, code) => decode(code));

function decode(code: number): number {
  const bits = ~code & 0xff;
  const exponent = (bits >> 4) & 7;
  const magnitude = ((((bits & 15) << 3) + BIAS) << exponent) - BIAS;
  return (bits & 0x80 ? -magnitude : magnitude) / FULL_SCALE;
}

/** Biased magnitude >> 7 -> segment number. */
const SEGMENT = Uint8Array.from({ length: 256 }, (_, i) => (i < 2 ? 0 : 31 - Math.clz32(i)));

/** Return the code of a sample; values beyond -1 and 1 are clipped. */
export function encodeMulaw(sample: number): number {
  let value = Math.round(sample * FULL_SCALE);
  let sign = 0;
  if (value < 0) {
    value = -value;
    sign = 0x80;
  }
  value = (value > CLIP ? CLIP : value) + BIAS;
  const segment = SEGMENT[value >> 7];
  return ~(sign | (segment << 4) | ((value >> (segment + 3)) & 15)) & 0xff;
}
