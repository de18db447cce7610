/** Signals and measures for the tests of the audio path. */

/** Return a sine of `count` samples. */
export function sine(hz: number, rateHz: number, count: number, level = 0.5): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => level * Math.sin((2 * Math.PI * hz * i) / rateHz));
}

/** Return the amplitude of one frequency in the samples (a single bin of a Fourier transform, Hann window). */
export function amplitude(x: Float32Array, hz: number, rateHz: number): number {
  let real = 0;
  let imaginary = 0;
  let weight = 0;
  for (let i = 0; i < x.length; i++) {
    const window = 1 - Math.cos((2 * Math.PI * i) / x.length);
    const angle = (2 * Math.PI * hz * i) / rateHz;
    real += window * x[i] * Math.cos(angle);
    imaginary += window * x[i] * Math.sin(angle);
    weight += window;
  }
  return (2 * Math.hypot(real, imaginary)) / weight;
}

export const decibels = (ratio: number): number => 20 * Math.log10(Math.max(ratio, 1e-12));

/** Return numbers from 0 to 1, the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
