/**
 * An adaptive jitter buffer: frames in when the network brings them, samples out when the sound card asks.
 *
 * It decides per 10 ms block, as WebRTC's NetEQ does: play, shorten by a pitch period, lengthen by one, or
 * conceal what has not come. Between those, `drift` lets the resampler after it follow the far clock. Pure.
 */

import { DelayTarget } from './delay-target';
import { RATE_HZ } from './format';
import { MULAW_DECODE } from './g711';
import { PITCH_MAX, energy, leadingPitch, trailingPitch } from './pitch';
import { SampleRing } from './sample-ring';

const PER_MS = RATE_HZ / 1000;
const BLOCK = 10 * PER_MS;

/** Most that ever waits: two seconds; the playing rules keep it far below. */
const CAPACITY = 2 * RATE_HZ;

/** What concealment looks back on: 60 ms, room for the longest period and its comparison window. */
const HISTORY = 60 * PER_MS;

/** Shorten when this much more than the target waits: at once, or on average. */
const OVER_NOW = 40 * PER_MS;
const OVER_MEAN = 30 * PER_MS;

/** Beyond this the lag is worse than a seam in the sound: shorten no matter what the signal is. */
const OVER_HARD = 200 * PER_MS;

/** After so long of too much, shorten any signal as well: noise has no period to take out. */
const PATIENCE = 1000 * PER_MS;

/** Beyond this, skip to the target in one step. */
const OVER_SKIP = 400 * PER_MS;

/** A period is removed or repeated only if it resembles its neighbour so closely that it cannot be heard. */
const SIMILARITY_MIN = 0.85;

/** Energy of 20 ms below which a cut is inaudible: about -60 dBov. */
const QUIET_ENERGY = 1e-4 * 160;

/** Concealment: full level for 10 ms, then fading to nothing at 60 ms (ITU-T G.711 Appendix I). */
const FADE_START = 10 * PER_MS;
const FADE_END = 60 * PER_MS;

/** Cross-fade from concealment back to speech: 5 ms. */
const SEAM = 5 * PER_MS;

/** After so much concealment the stream has stopped: buffer again before playing. */
const STOPPED = 500 * PER_MS;

/** Weight of a block in the mean level: a time constant of 200 ms. */
const LEVEL_GAIN = 0.05;

/** Largest drift correction: +-0.4 %, some seven cents, below what an ear notices. */
const DRIFT_MAX = 0.004;

/** Samples of error that ask for a drift of 1; 5 ms of error ask for 0.1 %. */
const DRIFT_SCALE = 40000;

export interface JitterStats {
  /** Frames taken. */
  frames: number;
  /** Samples invented, removed and thrown away, since the start. */
  concealed: number;
  shortened: number;
  skipped: number;
}

export class JitterBuffer {
  readonly stats: JitterStats = { frames: 0, concealed: 0, shortened: 0, skipped: 0 };
  /** How much faster than nominal the output should be consumed right now. */
  drift = 0;

  readonly #ring = new SampleRing(CAPACITY);
  readonly #delay = new DelayTarget();
  readonly #history = new Float32Array(HISTORY);
  readonly #block = new Float32Array(2 * PITCH_MAX + BLOCK);
  readonly #scratch = new Float32Array(PITCH_MAX);
  readonly #head = this.#block.subarray(0, 2 * PITCH_MAX);
  #playing = false;
  #level = 0;
  /** Samples for which too much has waited that could not be taken out unheard. */
  #waited = 0;
  /** Concealed samples in a row; the period repeated, and how far into it. */
  #concealing = 0;
  #period = PITCH_MAX;
  #phase = 0;

  /** Milliseconds that should be waiting. */
  get targetMs(): number {
    return this.#delay.ms;
  }

  /** Interarrival jitter of the frames (RFC 3550 A.8), in milliseconds. */
  get jitterMs(): number {
    return this.#delay.jitterMs;
  }

  /** Mean milliseconds that are waiting. */
  get levelMs(): number {
    return this.#level / PER_MS;
  }

  /** Take one 20 ms frame of mu-law; `atSeconds` is the local clock. */
  push(frame: Uint8Array, atSeconds: number): void {
    this.stats.frames++;
    this.#delay.arrived(atSeconds);
    this.stats.skipped += this.#ring.push(frame, MULAW_DECODE);
  }

  /** Return the next samples to play, usually 10 ms; the array is good until the next call. */
  pull(): Float32Array {
    const waiting = this.#ring.length;
    const target = this.#delay.ms * PER_MS;
    this.#level += (waiting - this.#level) * LEVEL_GAIN;
    if (!this.#playing) {
      if (waiting < Math.max(BLOCK, target)) return this.#silence();
      this.#playing = true;
      this.#level = waiting;
    }
    const error = this.#level - target - BLOCK;
    this.drift = Math.max(-DRIFT_MAX, Math.min(DRIFT_MAX, error / DRIFT_SCALE));
    if (waiting < BLOCK) return this.#conceal();
    if (waiting - target > OVER_SKIP) this.#skip(Math.floor(waiting - target));
    return this.#remember(this.#shorten(target) ?? this.#lengthen(target) ?? this.#play());
  }

  #silence(): Float32Array {
    this.drift = 0;
    return this.#block.subarray(0, BLOCK).fill(0);
  }

  #play(): Float32Array {
    this.#ring.peek(BLOCK, this.#block);
    this.#ring.skip(BLOCK);
    return this.#seam(this.#block.subarray(0, BLOCK));
  }

  /** Remove one pitch period by overlapping two, if too much waits and the signal allows. */
  #shorten(target: number): Float32Array | undefined {
    const over = this.#ring.length - target;
    const due = over > OVER_NOW || this.#level - target > OVER_MEAN;
    if (!due) this.#waited = 0;
    if (!due || this.#ring.length < 2 * PITCH_MAX + BLOCK) return undefined;
    const head = this.#head;
    this.#ring.peek(2 * PITCH_MAX, head);
    const { lag, similarity } = leadingPitch(head);
    const unheard = similarity > SIMILARITY_MIN || energy(head, 0, 160) < QUIET_ENERGY;
    this.#waited += BLOCK;
    if (!unheard && over <= OVER_HARD && this.#waited < PATIENCE) return undefined;
    this.#ring.skip(2 * PITCH_MAX);
    for (let i = 0; i < lag; i++) head[i] += (head[i + lag] - head[i]) * (i / lag);
    head.copyWithin(lag, 2 * lag);
    this.stats.shortened += lag;
    this.#level = Math.max(0, this.#level - lag);
    return this.#seam(head.subarray(0, 2 * PITCH_MAX - lag));
  }

  /** Play the last pitch period once more, blended into the next block, if too little waits. */
  #lengthen(target: number): Float32Array | undefined {
    const low = this.#level < target * 0.5 && this.#ring.length < target * 0.5;
    if (!low || this.#concealing > 0) return undefined;
    const { lag, similarity } = trailingPitch(this.#history);
    const quiet = energy(this.#history, HISTORY - 160, 160) < QUIET_ENERGY;
    if (similarity <= SIMILARITY_MIN && !quiet) return undefined;
    this.#ring.peek(BLOCK, this.#scratch);
    this.#ring.skip(BLOCK);
    const out = this.#block;
    for (let i = 0; i < lag; i++) {
      const next = i < BLOCK ? this.#scratch[i] : 0;
      out[i] = this.#history[HISTORY - lag + i] * (i / lag) + next * (1 - i / lag);
    }
    out.set(this.#scratch.subarray(0, BLOCK), lag);
    return out.subarray(0, lag + BLOCK);
  }

  #skip(count: number): void {
    if (this.#concealing === 0) this.#startConcealing();
    this.#concealing += 1;
    this.#ring.skip(count);
    // Not the mean less what went: a burst is gone before the mean has noticed it.
    this.#level = this.#ring.length;
    this.stats.skipped += count;
  }

  /** Continue the voice by repeating its last period, ever more quietly. */
  #conceal(): Float32Array {
    if (this.#concealing === 0) this.#startConcealing();
    const out = this.#block.subarray(0, BLOCK);
    for (let i = 0; i < BLOCK; i++) out[i] = this.#continuation() * fade(this.#concealing + i);
    this.#concealing += BLOCK;
    this.stats.concealed += BLOCK;
    if (this.#concealing >= STOPPED) this.#playing = false;
    return out;
  }

  #startConcealing(): void {
    this.#period = trailingPitch(this.#history).lag;
    this.#phase = 0;
  }

  #continuation(): number {
    const sample = this.#history[HISTORY - this.#period + this.#phase];
    if (++this.#phase >= this.#period) this.#phase = 0;
    return sample;
  }

  /** Cross-fade from what was concealed into the block, if anything was. */
  #seam(block: Float32Array): Float32Array {
    if (this.#concealing === 0) return block;
    const gain = fade(this.#concealing);
    for (let i = 0; i < SEAM; i++) {
      const continued = this.#continuation() * gain;
      block[i] = continued + (block[i] - continued) * (i / SEAM);
    }
    this.#concealing = 0;
    return block;
  }

  #remember(block: Float32Array): Float32Array {
    const kept = block.subarray(Math.max(0, block.length - HISTORY));
    this.#history.copyWithin(0, kept.length);
    this.#history.set(kept, HISTORY - kept.length);
    return block;
  }
}

/** Level of concealment after so many samples of it. */
function fade(samples: number): number {
  if (samples < FADE_START) return 1;
  return Math.max(0, 1 - (samples - FADE_START) / (FADE_END - FADE_START));
}
