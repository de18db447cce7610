/**
 * The call's audio on this page: context, worklets, microphone source. Frames bypass the page by the ports
 * this hands out.
 */

import { CAPTURE, PLAYBACK } from '../audio/ports';
import type { AudioPorts, FromCapture, FromPlayback, ToCapture, ToPlayback } from '../audio/ports';
import { within } from './deadline';
import { CallerError } from './error';
import { loadWorklets } from './own-files';
import { applySpeaker } from './sound-choice';

const RESUME_MS = 2000;

/** A running context's clock moves within a few milliseconds; a stuck one's never does. */
const STUCK_MS = 300;

export interface AudioLevels {
  capture: (report: FromCapture) => void;
  playback: (report: FromPlayback) => void;
}

export class AudioGraph {
  #context: AudioContext;
  #capture: AudioWorkletNode | undefined;
  #playback: AudioWorkletNode | undefined;
  #source: MediaStreamAudioSourceNode | undefined;
  #stream: MediaStream | undefined;
  #gain: GainNode | undefined;
  #volume = 1;
  #isMuted = false;
  #isCarrying = true;
  #isSending = true;
  #closed = false;

  /** Must run inside the click, before anything is awaited: browsers let sound start only there. */
  constructor(private readonly levels: AudioLevels) {
    this.#context = newContext();
  }

  /** Build the nodes; return the ports the socket worker needs. Throws CallerError. */
  async load(): Promise<AudioPorts> {
    const context = this.#context;
    await loadWorklets(context);
    const capture = new AudioWorkletNode(context, CAPTURE, {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    const playback = new AudioWorkletNode(context, PLAYBACK, { numberOfInputs: 0 });
    capture.port.onmessage = ({ data }: MessageEvent<FromCapture>) => this.levels.capture(data);
    playback.port.onmessage = ({ data }: MessageEvent<FromPlayback>) => this.levels.playback(data);
    this.#gain = new GainNode(context, { gain: this.#volume });
    playback.connect(this.#gain).connect(context.destination);
    this.#capture = capture;
    this.#playback = playback;
    this.carry(this.#isCarrying, this.#isMuted, this.#isSending);
    this.#connectSource();
    return { uplink: handPort(capture), downlink: handPort(playback) };
  }

  /** Take sound from this stream from now on. */
  attach(stream: MediaStream): void {
    this.#stream = stream;
    this.#connectSource();
  }

  /** Return a track without sound, for WebRTC while that carries the call. */
  silence(): MediaStreamTrack | undefined {
    const silent = this.#context.createMediaStreamDestination();
    // Without any source it would deliver nothing at all; this one is silent where the track is sent, by WebRTC.
    this.#playback?.connect(silent);
    return silent.stream.getAudioTracks()[0];
  }

  /** Play at this linear loudness, 0 to 1. */
  setVolume(volume: number): void {
    this.#volume = volume;
    if (this.#gain) this.#gain.gain.value = volume;
  }

  /**
   * Carry the audio of the call, or leave that to another path; a muted microphone is sent as silence. Whoever only
   * listens sends nothing.
   */
  carry(isCarrying: boolean, isMuted: boolean, isSending = isCarrying): void {
    this.#isCarrying = isCarrying;
    this.#isMuted = isMuted;
    this.#isSending = isSending;
    this.#capture?.port.postMessage({ sending: !isMuted, framing: isSending } satisfies ToCapture);
    this.#playback?.port.postMessage({ playing: isCarrying } satisfies ToPlayback);
  }

  /** Play through the chosen loudspeaker, where the browser lets a page choose. */
  applySpeaker(): void {
    applySpeaker(this.#context);
  }

  /** Throw CallerError if the browser does not let the context run. */
  async start(): Promise<void> {
    await within(RESUME_MS, this.#context.resume(), 'audio_blocked');
  }

  /**
   * Get sound going again after the page was hidden: resume, or rebuild a context that stands still (iOS).
   * Return new ports if it had to be rebuilt.
   */
  async revive(): Promise<AudioPorts | undefined> {
    if (this.#closed || (await this.#runs())) return undefined;
    void this.#context.close().catch(() => {});
    this.#context = newContext();
    this.applySpeaker();
    return this.load();
  }

  close(): void {
    this.#closed = true;
    this.#source?.disconnect();
    void this.#context.close().catch(() => {});
  }

  #connectSource(): void {
    if (!this.#stream || !this.#capture) return;
    this.#source?.disconnect();
    this.#source = this.#context.createMediaStreamSource(this.#stream);
    this.#source.connect(this.#capture);
  }

  async #runs(): Promise<boolean> {
    try {
      await this.start();
    } catch {
      return false;
    }
    const before = this.#context.currentTime;
    await new Promise((resolve) => window.setTimeout(resolve, STUCK_MS));
    return this.#context.currentTime > before;
  }
}

/** The default rate: Firefox connects no microphone to a context of another one. Latency is `interactive` by default. */
function newContext(): AudioContext {
  if (!window.isSecureContext) throw new CallerError('insecure_page');
  if (typeof AudioWorkletNode === 'undefined') throw new CallerError('unsupported_browser');
  const context = new AudioContext();
  void context.resume();
  return context;
}

function handPort(node: AudioWorkletNode): MessagePort {
  const { port1, port2 } = new MessageChannel();
  node.port.postMessage({ port: port1 } satisfies ToCapture & ToPlayback, [port1]);
  return port2;
}
