/**
 * The caller's microphone: opened once per call, opened again when its device goes away or another is
 * chosen; what it delivers goes through the page's own audio processor, if there is one.
 */

import { within } from './deadline';
import { CallerError, errorOfMicrophone } from './error';
import { constraints, soundChoice } from './sound-choice';

/** A person has to read and answer the browser's question. */
const PROMPT_MS = 60_000;

const REOPEN_MS = 10_000;

/**
 * What a page does to the voice before it is sent: given the microphone, returns the stream to send in its place. Called
 * anew for each microphone that is opened; `signal` is aborted when its stream is used no more.
 */
export type AudioProcessor = (stream: MediaStream, signal: AbortSignal) => MediaStream | Promise<MediaStream>;

/** Why the caller cannot be heard: no device is left, or the system mutes it. */
export const MICROPHONE_LOST = 'microphone-lost';
export const MICROPHONE_MUTED = 'microphone-muted';

export class Microphone {
  #stream: MediaStream | undefined;
  #processing: AbortController | undefined;
  #closed = false;
  #isOpening = false;

  /** `onStream` gets the first stream and each later one; `onLost` why there is no sound, until there is: then nothing. */
  constructor(
    private readonly onStream: (stream: MediaStream) => void,
    private readonly onLost: (why?: string, failure?: CallerError) => void,
    private readonly process?: AudioProcessor,
  ) {}

  /** Ask for the microphone, on a secure page. Throws CallerError with a microphone-… code. */
  async open(): Promise<void> {
    await this.#acquire(PROMPT_MS);
    if (this.#closed) return;
    navigator.mediaDevices.addEventListener('devicechange', this.#check);
    // Not every browser knows the name.
    const permission = await navigator.permissions?.query({ name: 'microphone' as PermissionName }).catch(() => {});
    if (permission) permission.onchange = this.#check;
  }

  /** Open it again, if it is open, as is chosen now. Throws CallerError; the one in use goes on then. */
  async reopen(): Promise<void> {
    if (this.#stream) await this.#acquire(REOPEN_MS);
  }

  /** Release the device; the browser's recording sign goes out. */
  close(): void {
    this.#closed = true;
    navigator.mediaDevices.removeEventListener('devicechange', this.#check);
    release(this.#stream);
    this.#processing?.abort();
  }

  async #acquire(ms: number): Promise<void> {
    const asked = navigator.mediaDevices.getUserMedia({ audio: constraints(soundChoice()) });
    try {
      const stream = await within(ms, asked, 'microphone_timeout');
      await this.#use(stream);
    } catch (error) {
      // An answer after the deadline must not leave the microphone open.
      void asked.then(release, () => {});
      throw errorOfMicrophone(error);
    }
  }

  /** The voice is never sent as it is where the page wants it otherwise. */
  async #use(stream: MediaStream): Promise<void> {
    const processing = new AbortController();
    let sent = stream;
    try {
      const { process } = this;
      if (process) sent = await within(REOPEN_MS, Promise.resolve(process(stream, processing.signal)));
    } catch (error) {
      processing.abort();
      throw new CallerError('audio_processor_failed', undefined, { cause: error });
    }
    if (this.#closed) {
      processing.abort();
      release(stream);
      return;
    }
    release(this.#stream);
    this.#processing?.abort();
    this.#processing = processing;
    this.#stream = stream;
    for (const track of stream.getAudioTracks()) {
      track.addEventListener('ended', this.#check);
      // A key of the headset, a switch for privacy, another program that takes it (W3C Media Capture and Streams, 4.3.1).
      track.onmute = track.onunmute = () => this.onLost(track.muted ? MICROPHONE_MUTED : undefined);
    }
    this.onStream(sent);
  }

  /** Use any device there is when the current one is gone: a headset was unplugged, or is back. */
  readonly #check = async (): Promise<void> => {
    const isGone = this.#stream?.getAudioTracks().every((track) => track.readyState === 'ended');
    if (this.#closed || !isGone || this.#isOpening) return;
    this.#isOpening = true;
    await this.#acquire(REOPEN_MS).catch((failure: CallerError) => this.#closed || this.onLost(MICROPHONE_LOST, failure));
    this.#isOpening = false;
  };
}

function release(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
