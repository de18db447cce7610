/**
 * One call from this page: opens microphone, token and socket in order, follows the gateway's messages, and
 * gives everything back at the end. Knows no markup; who shows it is told of every change.
 */

import type { Api } from '../api';
import type { AudioPorts } from '../audio/ports';
import type { GatewayMessage, Problem } from '../wire';
import { AudioGraph } from './audio-graph';
import { within } from './deadline';
import { CallFailure, asFailure, failureOfClose } from './failure';
import { MediaSocket } from './media-socket';
import { Microphone } from './microphone';
import { dialling, ended, keep, received } from './state';
import type { CallState } from './state';
import { keepAwake } from './wake-lock';

const TOKEN_MS = 10_000;
const READY_MS = 10_000;

/** How long the gateway may take to confirm a hang-up before the page closes the socket itself. */
const HANGUP_MS = 2000;

/** A microphone that delivers exact zeros for so many 100 ms reports is dead, not quiet. */
const DEAD_REPORTS = 25;

/** Shown like the gateway's own warnings. */
export const MICROPHONE_SILENT = 'microphone-silent';

export interface CallEvents {
  changed: (state: CallState) => void;
  /** Linear level, 0 to 1, ten times a second. */
  level: (side: 'microphone' | 'phone', rms: number) => void;
}

export class Call {
  #state: CallState;
  readonly #graph: AudioGraph;
  readonly #microphone: Microphone;
  readonly #abort: Promise<never>;
  #fail: (failure: CallFailure) => void = () => {};
  #socket: MediaSocket | undefined;
  #ready: () => void = () => {};
  #problem: Partial<Problem> | undefined;
  #hangupTimer = 0;
  #zeroReports = 0;
  #letSleep: () => void = () => {};

  /** Start dialling. Call it inside the click; throws CallFailure if the browser cannot place calls. */
  constructor(
    destination: string,
    private readonly api: Api,
    private readonly events: CallEvents,
  ) {
    this.#state = dialling(destination);
    this.#graph = new AudioGraph({
      capture: ({ rms, peak }) => this.#heard(rms, peak),
      playback: ({ rms, bufferMs }) => this.#played(rms, bufferMs),
    });
    this.#microphone = new Microphone(
      (stream) => this.#graph.attach(stream),
      (failure) => this.#end(failure),
    );
    this.#abort = new Promise((_, reject) => (this.#fail = reject));
    document.addEventListener('visibilitychange', this.#revive);
    void this.#run();
  }

  get state(): CallState {
    return this.#state;
  }

  /** End the call, at any time. */
  hangUp(): void {
    if (this.#state.phase === 'ended' || this.#hangupTimer) return;
    if (!this.#socket) {
      this.#end();
      return;
    }
    this.#socket.send({ type: 'hangup' });
    this.#hangupTimer = window.setTimeout(() => this.#end(), HANGUP_MS);
  }

  /** Stop or resume sending the microphone. It is silent here at once, whatever the network does. */
  setMuted(muted: boolean): void {
    this.#change({ ...this.#state, muted });
    this.#socket?.send({ type: 'mute', muted });
  }

  /** Hold or resume the call. */
  setHeld(held: boolean): void {
    this.#change({ ...this.#state, held });
    this.#socket?.send({ type: 'hold', held });
  }

  /** Press a key of the phone in the call. */
  press(key: string): void {
    this.#change({ ...this.#state, sentDigits: keep(this.#state.sentDigits + key) });
    this.#socket?.send({ type: 'dtmf', digits: key });
  }

  async #run(): Promise<void> {
    try {
      await Promise.race([this.#connect(), this.#abort]);
    } catch (error) {
      this.#end(asFailure(error));
    }
  }

  async #connect(): Promise<void> {
    // Any of the two failing ends the call; the abort in #run closes whatever the other still opens.
    const [ports] = await Promise.all([this.#graph.load(), this.#microphone.open()]);
    await this.#graph.start();
    // Asked for last: a token is good for a minute, and a person may take that to allow the microphone.
    const token = await within(
      TOKEN_MS,
      'gateway-unreachable',
      this.api.callToken(this.#state.destination),
    );
    if (this.#state.phase === 'ended') return;
    const { rate, balance, affordable_seconds: remainingSeconds } = token;
    this.#change({ ...this.#state, rate, balance, remainingSeconds });
    await within(READY_MS, 'gateway-unreachable', this.#open(token.media_url, token.token, ports));
    if (this.state.phase !== 'ended') this.#letSleep = keepAwake();
  }

  async #open(mediaUrl: string, token: string, ports: AudioPorts): Promise<void> {
    const ready = new Promise<void>((resolve) => (this.#ready = resolve));
    this.#socket = new MediaSocket({
      message: (message) => this.#receive(message),
      roundTrip: (roundTripMs) => this.#change({ ...this.#state, roundTripMs }),
      closed: (code) => this.#closed(code),
      crashed: () => this.#end(new CallFailure('page-crashed')),
    });
    this.#socket.open(mediaUrl, token, ports);
    await ready;
  }

  #receive(message: GatewayMessage): void {
    if (message.type === 'ready') this.#ready();
    if (message.type === 'error') {
      this.#problem = { code: message.code, detail: message.message, action: message.action };
    }
    const next = received(this.#state, message, performance.now());
    if (next.phase === 'ended') this.#cleanUp();
    this.#change(next);
  }

  #closed(code: number): void {
    const asked = this.#hangupTimer !== 0 || (code === 1000 && !this.#problem);
    this.#end(asked ? undefined : failureOfClose(code, this.#problem));
  }

  #end(failure?: CallFailure): void {
    if (this.#state.phase === 'ended') return;
    this.#cleanUp();
    this.#change(ended(this.#state, performance.now(), failure));
  }

  #cleanUp(): void {
    document.removeEventListener('visibilitychange', this.#revive);
    window.clearTimeout(this.#hangupTimer);
    this.#socket?.close();
    this.#microphone.close();
    this.#graph.close();
    this.#letSleep();
    // Lets #run settle if it still waits; #end ignores a second ending.
    this.#abort.catch(() => {});
    this.#fail(new CallFailure('page-crashed'));
  }

  #change(state: CallState): void {
    this.#state = state;
    this.#graph.setSending(!state.muted && !state.held);
    this.events.changed(state);
  }

  #heard(rms: number, peak: number): void {
    this.#zeroReports = peak === 0 ? this.#zeroReports + 1 : 0;
    const silent = this.#zeroReports >= DEAD_REPORTS;
    if (silent !== MICROPHONE_SILENT in this.#state.warnings) {
      const name = MICROPHONE_SILENT;
      this.#receive(silent ? { type: 'warning', name, message: '' } : { type: 'warning-cleared', name });
    }
    this.events.level('microphone', this.#state.muted || this.#state.held ? 0 : rms);
  }

  #played(rms: number, bufferMs: number): void {
    this.#state = { ...this.#state, bufferMs };
    this.events.level('phone', rms);
  }

  readonly #revive = async (): Promise<void> => {
    if (document.visibilityState !== 'visible') return;
    try {
      const ports = await this.#graph.revive();
      if (ports) this.#socket?.reconnect(ports);
    } catch (error) {
      this.#end(asFailure(error));
    }
  };
}
