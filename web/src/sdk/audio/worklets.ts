/**
 * The two audio processors of a call: microphone to 20 ms mu-law frames, and frames to the loudspeaker.
 * They run on the audio thread and speak with the socket worker; the page only learns levels from them.
 */

import { captureConverter, playbackConverter } from './converters';
import { FRAME_SAMPLES, RATE_HZ } from './format';
import { MULAW_SILENCE, encodeMulaw } from './g711';
import { JitterBuffer } from './jitter-buffer';
import { limit } from './limiter';
import { CAPTURE, PLAYBACK } from './ports';
import type { FromCapture, FromPlayback, ToCapture, ToPlayback } from './ports';

/** Samples per level report: 100 ms, what a meter needs to look alive. */
const REPORT_SAMPLES = RATE_HZ / 10;

/** Samples the Web Audio API renders at a time. */
const QUANTUM = 128;

class Capture extends AudioWorkletProcessor {
  readonly #converter = captureConverter(sampleRate);
  /** What is sent while no microphone is connected: the stream never pauses. */
  readonly #nothing = new Float32Array(QUANTUM);
  #frame = new Uint8Array(FRAME_SAMPLES);
  #filled = 0;
  #sending = true;
  #framing = true;
  #uplink: MessagePort | undefined;
  #squares = 0;
  #measured = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<ToCapture>) => {
      if ('port' in data) this.#uplink = data.port;
      else ({ sending: this.#sending, framing: this.#framing } = data);
    };
  }

  process(inputs: Float32Array[][]): boolean {
    this.#converter.push(inputs[0]?.[0] ?? this.#nothing);
    while (this.#converter.ready) this.#take(this.#converter.pull());
    return true;
  }

  #take(sample: number): void {
    this.#measure(sample);
    this.#frame[this.#filled++] = this.#sending ? encodeMulaw(limit(sample)) : MULAW_SILENCE;
    if (this.#filled < FRAME_SAMPLES) return;
    this.#filled = 0;
    if (!this.#framing) return;
    this.#uplink?.postMessage(this.#frame.buffer, [this.#frame.buffer]);
    this.#frame = new Uint8Array(FRAME_SAMPLES);
  }

  #measure(sample: number): void {
    this.#squares += sample * sample;
    if (++this.#measured < REPORT_SAMPLES) return;
    const report: FromCapture = { rms: Math.sqrt(this.#squares / REPORT_SAMPLES) };
    this.port.postMessage(report);
    this.#squares = this.#measured = 0;
  }
}

class Playback extends AudioWorkletProcessor {
  readonly #buffer = new JitterBuffer();
  readonly #converter = playbackConverter(sampleRate);
  #playing = true;
  #squares = 0;
  #measured = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<ToPlayback>) => {
      if ('playing' in data) this.#playing = data.playing;
      else data.port.onmessage = (event: MessageEvent<ArrayBuffer>) => this.#receive(event.data);
    };
  }

  #receive(data: ArrayBuffer): void {
    if (!this.#playing) return;
    const frames = new Uint8Array(data);
    const now = currentFrame / sampleRate;
    for (let i = 0; i + FRAME_SAMPLES <= frames.length; i += FRAME_SAMPLES) {
      this.#buffer.push(frames.subarray(i, i + FRAME_SAMPLES), now);
    }
  }

  process(_: Float32Array[][], [output]: Float32Array[][]): boolean {
    const samples = output[0];
    for (let i = 0; i < samples.length; i++) {
      while (!this.#converter.ready) this.#converter.push(this.#buffer.pull());
      const next = this.#converter.pull(this.#buffer.drift);
      // What still waits when the audio has moved elsewhere is not heard a second time.
      const value = this.#playing ? next : 0;
      samples[i] = value;
      this.#squares += value * value;
    }
    for (let channel = 1; channel < output.length; channel++) output[channel].set(samples);
    this.#report(samples.length);
    return true;
  }

  #report(count: number): void {
    this.#measured += count;
    if (this.#measured < sampleRate / 10) return;
    const report: FromPlayback = {
      rms: Math.sqrt(this.#squares / this.#measured),
      bufferMs: this.#buffer.levelMs,
      jitterMs: this.#buffer.jitterMs,
      stats: this.#buffer.stats,
    };
    this.port.postMessage(report);
    this.#squares = this.#measured = 0;
  }
}

registerProcessor(CAPTURE, Capture);
registerProcessor(PLAYBACK, Playback);
