/**
 * All sound of a call on this page: the microphone, and both ways its audio can take. Exactly one of them carries it;
 * the other is silent in both directions.
 */

import type { AudioPorts, FromPlayback } from '../audio/ports';
import type { Path } from '../wire';
import { AudioGraph } from './audio-graph';
import type { CallerError } from './error';
import { Microphone } from './microphone';
import type { AudioProcessor } from './microphone';
import type { Heard } from './report';
import { applySpeaker } from './sound-choice';
import { WebRtc } from './webrtc';

/** A microphone that delivers exact zeros for so many 100 ms reports is dead, not quiet. */
const DEAD_REPORTS = 25;

export interface SoundEvents {
  /** Linear levels of the microphone and the phone's voice, 0 to 1, ten times a second. */
  level: (microphone: number, phone: number) => void;
  /** The microphone delivers nothing, or something again. */
  dead: (isDead: boolean) => void;
  /** Why the microphone gives no sound, and what kept it from being opened; or, with nothing, it gives some. */
  lost: (why?: string, failure?: CallerError) => void;
  /** WebRTC came up or went down. */
  changed: () => void;
}

export class Sound {
  readonly #audio = new Audio();
  readonly #graph: AudioGraph;
  readonly webrtc: WebRtc;
  readonly #microphone: Microphone;
  #path: Path = 'websocket';
  #isMuted = false;
  #isDead = false;
  /** None is counted before a microphone is open: its user may be asked for a while. */
  #zeroReports = -Infinity;
  #played: FromPlayback | undefined;

  /** Must run inside the click: browsers let sound start only there. */
  constructor(
    private readonly events: SoundEvents,
    process?: AudioProcessor,
  ) {
    this.#graph = new AudioGraph({
      capture: ({ rms }) => this.#measured(rms),
      playback: (report) => (this.#played = report),
    });
    this.#audio.autoplay = true;
    void this.#audio.play().catch(() => {});
    this.webrtc = new WebRtc(this.#audio, events.changed);
    this.#microphone = new Microphone((stream) => this.#speakFrom(stream), (...why) => this.#lose(...why), process);
  }

  /** Open the microphone and build the audio graph; return the ports the socket needs. Throws CallerError. */
  async open(): Promise<AudioPorts> {
    // If either fails the call ends; closing also closes what the other is still opening.
    const [ports] = await Promise.all([this.#graph.load(), this.#microphone.open()]);
    await this.#graph.start();
    this.#apply();
    this.#applySpeaker();
    return ports;
  }

  /** Let this path carry the audio. */
  setPath(path: Path): void {
    this.#path = path;
    this.#apply();
  }

  /** Send silence in place of the microphone. */
  setMuted(isMuted: boolean): void {
    if (isMuted === this.#isMuted) return;
    this.#isMuted = isMuted;
    this.#apply();
  }

  /** Play at this linear loudness, 0 to 1, by either path. */
  setVolume(volume: number): void {
    this.#audio.volume = volume;
    this.#graph.setVolume(volume);
  }

  /** Return what the socket has brought, given its round trip. */
  heardBySocket(roundTripMs: number | null): Heard | undefined {
    if (!this.#played) return undefined;
    const { bufferMs, jitterMs, stats } = this.#played;
    return { packets: stats.frames, lost: 0, concealedMs: stats.concealed / 8, jitterMs, bufferMs, roundTripMs };
  }

  /** Change to the devices and the processing that are chosen now. Throws CallerError; the sound goes on then. */
  async applyChoice(): Promise<void> {
    this.#applySpeaker();
    await this.#microphone.reopen();
  }

  /** Get the sound going after the page was hidden; return new ports if the graph had to be rebuilt. */
  revive(): Promise<AudioPorts | undefined> {
    return this.#graph.revive();
  }

  close(): void {
    this.webrtc.close();
    this.#microphone.close();
    this.#graph.close();
    this.#audio.srcObject = null;
  }

  #speakFrom(stream: MediaStream): void {
    this.#zeroReports = 0;
    this.#graph.attach(stream);
    this.webrtc.setTrack(stream.getAudioTracks()[0]);
    this.events.lost();
  }

  /** Send silence by either path: a stream that pauses would be taken for a network that does. */
  #lose(why?: string, failure?: CallerError): void {
    if (failure) this.webrtc.setTrack(this.#graph.silence());
    this.events.lost(why, failure);
  }

  #apply(): void {
    const byWebRtc = this.#path === 'webrtc';
    this.#graph.carry(!byWebRtc, this.#isMuted);
    this.webrtc.setSending(byWebRtc, this.#isMuted);
    this.#audio.muted = !byWebRtc;
  }

  #applySpeaker(): void {
    this.#graph.applySpeaker();
    applySpeaker(this.#audio);
  }

  #measured(rms: number): void {
    this.#zeroReports = rms === 0 ? this.#zeroReports + 1 : 0;
    const isDead = this.#zeroReports >= DEAD_REPORTS;
    if (isDead !== this.#isDead) this.events.dead(isDead);
    this.#isDead = isDead;
    const phone = this.#path === 'webrtc' ? this.webrtc.level : (this.#played?.rms ?? 0);
    this.events.level(this.#isMuted ? 0 : rms, phone);
  }
}
