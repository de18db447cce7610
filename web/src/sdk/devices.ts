/**
 * Microphones and loudspeakers of this machine, which of them are used, and what they sound like. Live
 * calls follow a change of choice.
 */

import { within } from './call/deadline';
import { Microphone } from './call/microphone';
import { soundChoice } from './call/sound-choice';
import type { SoundChoice } from './call/sound-choice';
import { chooseSound } from './call/sound-choosing';
import { Emitter } from './emitter';

/** What the test of a loudspeaker plays: an A of the telephone's band, softly. */
const TEST_HZ = 440;
const TEST_S = 0.6;
const TEST_LEVEL = 0.15;

/** A context that may not play stands still. */
const TEST_MS_MAX = 3000;

/** Samples that a level is measured over, and how often. */
const LEVEL_SAMPLES = 2048;
const LEVEL_MS = 100;

/** What the browser does to the voice before it is sent (W3C Media Capture and Streams). */
export type Processing = Pick<SoundChoice, 'echoCancellation' | 'noiseSuppression' | 'autoGainControl'>;

export interface DeviceChoice {
  /** Device ids; empty for the system's own choice. */
  microphone?: string;
  speaker?: string;
  processing?: Partial<Processing>;
}

export class Devices extends Emitter<{ change: [] }> {
  /** None on an insecure page, nor where a page is drawn by a server. */
  readonly #media = (globalThis.navigator as Navigator | undefined)?.mediaDevices as MediaDevices | undefined;

  override on(name: 'change', listener: () => void): this {
    this.#media?.addEventListener('devicechange', this.#changed);
    return super.on(name, listener);
  }

  /** Whether this browser lets a page choose the loudspeaker. */
  get canChooseSpeaker(): boolean {
    return 'setSinkId' in HTMLMediaElement.prototype;
  }

  /** What is used for calls of this browser; kept in it once something was chosen. */
  get chosen(): Readonly<SoundChoice> {
    return soundChoice();
  }

  /** Return what there is. Before the first call browsers tell neither names nor ids, and such devices are left out. */
  async list(): Promise<{ microphones: MediaDeviceInfo[]; speakers: MediaDeviceInfo[] }> {
    const all = ((await this.#media?.enumerateDevices()) ?? []).filter(({ deviceId }) => deviceId);
    const of = (wanted: MediaDeviceKind): MediaDeviceInfo[] => all.filter(({ kind }) => kind === wanted);
    return { microphones: of('audioinput'), speakers: of('audiooutput') };
  }

  /**
   * Use these from now on, in a call as well. Throws CallerError if a call cannot: it goes on as it was, later ones try
   * what is chosen.
   */
  choose({ processing, ...devices }: DeviceChoice): Promise<void> {
    return chooseSound({ ...devices, ...processing });
  }

  /** Play a short tone through the loudspeaker that is chosen. Call it inside the click. Throws CallerError. */
  async testSpeaker(): Promise<void> {
    const context: AudioContext & { setSinkId?: (id: string) => Promise<void> } = new AudioContext();
    try {
      await context.setSinkId?.(soundChoice().speaker).catch(() => {});
      const gain = new GainNode(context, { gain: 0 });
      const tone = new OscillatorNode(context, { frequency: TEST_HZ });
      tone.connect(gain).connect(context.destination);
      const start = context.currentTime;
      // Faded in and out: no click.
      gain.gain.linearRampToValueAtTime(TEST_LEVEL, start + TEST_S / 4);
      gain.gain.linearRampToValueAtTime(0, start + TEST_S);
      tone.start();
      tone.stop(start + TEST_S);
      await within(TEST_MS_MAX, new Promise((resolve) => (tone.onended = resolve)), 'audio_blocked');
    } finally {
      void context.close();
    }
  }

  /**
   * Open the microphone that is chosen and tell its linear level, 0 to 1, ten times a second; return what ends that.
   * Call it inside the click. Throws CallerError.
   */
  async testMicrophone(level: (rms: number) => void): Promise<() => void> {
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: LEVEL_SAMPLES });
    const samples = new Float32Array(LEVEL_SAMPLES);
    const timer = window.setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      level(Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / LEVEL_SAMPLES));
    }, LEVEL_MS);
    const microphone = new Microphone(
      (stream) => context.createMediaStreamSource(stream).connect(analyser),
      () => stop(),
    );
    const stop = (): void => {
      window.clearInterval(timer);
      microphone.close();
      void context.close().catch(() => {});
    };
    try {
      await microphone.open();
    } catch (error) {
      stop();
      throw error;
    }
    return stop;
  }

  /** Tell of no more changes until somebody listens again. */
  close(): void {
    this.#media?.removeEventListener('devicechange', this.#changed);
  }

  readonly #changed = (): void => this.emit('change');
}
