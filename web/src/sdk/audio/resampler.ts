/**
 * Band-limited sample-rate conversion: a Kaiser-windowed sinc, tabulated in phases and interpolated
 * between them, so that any ratio and a ratio that moves (clock drift) are alike. Pure; after
 * construction nothing is allocated.
 */

/** Modified Bessel function of the first kind, order zero, by its power series. */
function bessel(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; k < 40; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

export interface Filter {
  /** Taps per phase, at the input rate; even. */
  taps: number;
  cutoffHz: number;
  /** Tabulated fractional positions per input sample. */
  phases: number;
  /** Kaiser's beta: 6.5 leaves side lobes near -70 dB. */
  beta: number;
}

const BUFFER_SAMPLES = 8192;

export class Resampler {
  readonly #step: number;
  readonly #taps: number;
  readonly #phases: number;
  readonly #table: Float32Array;
  readonly #input = new Float32Array(BUFFER_SAMPLES);
  #filled: number;
  /** Where the next output sample's first tap falls, in input samples. */
  #position = 0;

  /** Convert from one rate to another, both in Hz. */
  constructor(inputHz: number, outputHz: number, filter: Filter) {
    this.#step = inputHz / outputHz;
    this.#taps = filter.taps;
    this.#phases = filter.phases;
    this.#table = tabulate(inputHz, filter);
    this.#filled = filter.taps;
  }

  /** Take input; pull while `ready` before the next push, which may hold up to 4096 samples. */
  push(samples: Float32Array): void {
    if (this.#filled + samples.length > BUFFER_SAMPLES) {
      const used = Math.floor(this.#position);
      this.#input.copyWithin(0, used, this.#filled);
      this.#filled -= used;
      this.#position -= used;
    }
    this.#input.set(samples, this.#filled);
    this.#filled += samples.length;
  }

  /** Whether there is input enough for one more output sample. */
  get ready(): boolean {
    return Math.floor(this.#position) + this.#taps <= this.#filled;
  }

  /** Return the next output sample. `drift` 0.001 consumes the input 0.1 % faster than nominal. */
  pull(drift = 0): number {
    const first = Math.floor(this.#position);
    const phase = (this.#position - first) * this.#phases;
    const row = Math.floor(phase);
    const taps = this.#taps;
    const input = this.#input;
    const table = this.#table;
    const offset = row * taps;
    let lower = 0;
    let upper = 0;
    for (let k = 0; k < taps; k++) {
      const value = input[first + k];
      lower += value * table[offset + k];
      upper += value * table[offset + taps + k];
    }
    this.#position += this.#step * (1 + drift);
    return lower + (phase - row) * (upper - lower);
  }
}

/** One row of taps per phase, and one more to interpolate towards; each row has unity gain at 0 Hz. */
function tabulate(inputHz: number, { taps, cutoffHz, phases, beta }: Filter): Float32Array {
  const table = new Float32Array((phases + 1) * taps);
  const cutoff = cutoffHz / inputHz;
  const half = taps / 2;
  for (let row = 0; row <= phases; row++) {
    const weights = new Float64Array(taps);
    for (let k = 0; k < taps; k++) {
      const t = k - half + 1 - row / phases;
      weights[k] = sinc(cutoff, t) * kaiser(t / half, beta);
    }
    const sum = weights.reduce((a, b) => a + b);
    for (let k = 0; k < taps; k++) table[row * taps + k] = weights[k] / sum;
  }
  return table;
}

function sinc(cutoff: number, t: number): number {
  return t === 0 ? 2 * cutoff : Math.sin(2 * Math.PI * cutoff * t) / (Math.PI * t);
}

function kaiser(x: number, beta: number): number {
  return Math.abs(x) > 1 ? 0 : bessel(beta * Math.sqrt(1 - x * x)) / bessel(beta);
}
