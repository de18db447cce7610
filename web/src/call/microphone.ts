/**
 * The caller's microphone: opened once per call, opened again when its device goes away or another is
 * chosen. Knows no call.
 */

import { within } from './deadline';
import { failureOfMicrophone } from './failure';
import type { CallFailure } from './failure';
import { constraints, soundChoice } from './sound-choice';

/** A person has to read and answer the browser's question. */
const PROMPT_MS = 60_000;

const REOPEN_MS = 10_000;

export class Microphone {
  #stream: MediaStream | undefined;
  #closed = false;

  /** `onStream` gets the first stream and each later one; `onLost` says that no device is left. */
  constructor(
    private readonly onStream: (stream: MediaStream) => void,
    private readonly onLost: (failure: CallFailure) => void,
  ) {}

  /** Ask for the microphone, on a secure page. Throws CallFailure with a microphone-… code. */
  async open(): Promise<void> {
    await this.#acquire(PROMPT_MS);
    if (!this.#closed) navigator.mediaDevices.addEventListener('devicechange', this.#check);
  }

  /** Open it again, as is chosen now. Throws CallFailure; the one in use goes on then. */
  async reopen(): Promise<void> {
    await this.#acquire(REOPEN_MS);
  }

  /** Release the device; the browser's recording sign goes out. */
  close(): void {
    this.#closed = true;
    navigator.mediaDevices.removeEventListener('devicechange', this.#check);
    release(this.#stream);
  }

  async #acquire(ms: number): Promise<void> {
    const asked = navigator.mediaDevices.getUserMedia({ audio: constraints(soundChoice()) });
    try {
      const stream = await within(ms, asked, 'microphone-timeout');
      if (this.#closed) release(stream);
      else this.#use(stream);
    } catch (error) {
      // An answer after the deadline must not leave the microphone open.
      void asked.then(release, () => {});
      throw failureOfMicrophone(error);
    }
  }

  #use(stream: MediaStream): void {
    release(this.#stream);
    this.#stream = stream;
    for (const track of stream.getAudioTracks()) track.addEventListener('ended', this.#check);
    this.onStream(stream);
  }

  /** Take the default device when the one in use is gone: a headset was unplugged. */
  readonly #check = async (): Promise<void> => {
    const gone = this.#stream?.getAudioTracks().every((track) => track.readyState === 'ended');
    if (this.#closed || !gone) return;
    try {
      await this.#acquire(REOPEN_MS);
    } catch (error) {
      if (!this.#closed) this.onLost(failureOfMicrophone(error));
    }
  };
}

function release(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
