/**
 * One call from this page: opens the line and asks for the token in order, follows the gateway's messages, and gives
 * everything back at the end.
 */

import { Emitter } from '../emitter';
import type { CallToken, Ending, GatewayMessage, Money, Path, Sample, SupervisionMode } from '../wire';
import { within } from './deadline';
import { CallerError, asCallerError } from './error';
import { Line } from './line';
import type { LineSetup } from './line';
import { dialling, ended, heardAgain, keep, received, unheard } from './state';
import type { CallState } from './state';
import type { KeptCall } from './tab-store';
import { keepAwake } from './wake-lock';

const TOKEN_MS = 10_000;
const READY_MS = 10_000;

/**
 * How long the gateway may take to confirm a hang-up before the page closes the socket itself. Longer than it takes to
 * know that the socket is lost.
 */
const HANGUP_MS = 2000;

/** The gateway says something each second: after two of silence there is no connection. */
const WATCH_MS = 500;
const SILENT_WATCHES = 4;

/** How long it then takes to know that the socket is lost, from where the gateway's patience is counted. */
const PROBED_MS = 1500;

/** The keys of ITU-T Q.23, and pauses as other SDKs write them. */
const KEYS = /^[0-9*#A-Dw]+$/;
const PAUSE_MS = 500;

/** A pause, or as many keys as a message holds (gateway/browser/messages.py). */
const PRESSED = /w|[^w]{1,32}/g;

/** Told like the gateway's own warnings. */
export const MICROPHONE_SILENT = 'microphone-silent';

/** What listeners are given. `disconnect` fires once when a call has ended, after the events that say why. */
export interface CallEvents {
  ringing: [];
  /** The phone was answered; charging has started. */
  accept: [call: Call];
  /** The call is over; without an account of it if the gateway gave none. */
  disconnect: [ending: Ending | undefined];
  /** It was ended here before it was answered. */
  cancel: [];
  /** It could not start or go on. */
  error: [error: CallerError];
  mute: [isMuted: boolean];
  hold: [isHeld: boolean];
  /** What somebody else in the call does; null once they have left. */
  supervised: [mode: SupervisionMode | null];
  /** A key was pressed at the phone. */
  dtmf: [digit: string];
  /** Linear levels of the microphone and the phone's voice, 0 to 1, ten times a second. */
  volume: [input: number, output: number];
  /** The quality of the line, once a second. */
  sample: [sample: Sample];
  /** Something is wrong with the call that a person should know about; and that it is over. */
  warning: [name: string, data: { message: string }];
  'warning-cleared': [name: string];
  /** The gateway is not heard; the call goes on if it is heard again in time. */
  reconnecting: [error: CallerError];
  reconnected: [];
  /** What the call has cost so far, once a second, and what is left; only to those who pay for it. */
  cost: [cost: { seconds: number; cost: Money }];
  credit: [credit: { balance: Money; remaining_seconds: number }];
  /** Anything of what is known of the call is another. */
  changed: [state: CallState];
}

export type CallStatus = 'connecting' | 'ringing' | 'open' | 'reconnecting' | 'closed';

/** What a call needs of its page. */
export interface CallSetup extends LineSetup {
  /** Get the one-use token of a call; asked for once the microphone is open. */
  getToken: (destination: string) => Promise<CallToken>;
  /** Done beside the opening of the microphone; a failure ends the call. */
  before?: (() => Promise<unknown>) | undefined;
  /** Have the browser ask before the page is left during the call. */
  closeProtection?: boolean | undefined;
}

export class Call extends Emitter<CallEvents> {
  #state: CallState;
  readonly #line: Line;
  readonly #abort: Promise<never>;
  #fail: (failure: CallerError) => void = () => {};
  #ready: () => void = () => {};
  /** The gateway has the call. */
  #isPlaced: boolean;
  #hangupTimer = 0;
  readonly #watch: number;
  /** Counted, not timed: a page that was busy takes what has come before it looks a second time. */
  #silentWatches = 0;
  /** Whether the microphone was muted on this page, which takes precedence over the state of a resumed call. */
  #wishesMuted: boolean | undefined;
  /** Why the microphone gives no sound: muted until it does, as a person may have it besides. */
  #lack: string | undefined;
  #letSleep: () => void = () => {};

  /**
   * Start dialling, or go back to a call. Call it inside the click; throws CallerError if the browser cannot place
   * calls.
   */
  constructor(
    to: string | KeptCall,
    private readonly setup: CallSetup,
  ) {
    super();
    const isKept = typeof to !== 'string';
    this.#state = isKept ? takingUp(to) : dialling(to);
    this.#isPlaced = isKept;
    const events = {
      message: (message: GatewayMessage) => this.#receive(message),
      path: (path: Path) => this.#change({ ...this.#state, path }),
      away: (away: boolean) => this.#away(away),
      ended: (failure?: CallerError) => this.#end(this.#hangupTimer ? undefined : failure),
      level: (input: number, output: number) => this.emit('volume', input, output),
      dead: (isDead: boolean) => this.#lack || this.#warn(MICROPHONE_SILENT, isDead),
      lost: (why?: string) => this.#lose(why),
    };
    this.#line = new Line(events, setup);
    this.#abort = new Promise((_, reject) => (this.#fail = reject));
    this.#watch = window.setInterval(() => this.#look(), WATCH_MS);
    if (setup.closeProtection) window.addEventListener('beforeunload', askBeforeLeaving);
    void this.#run(to);
  }

  /** All that is known of the call; another object after each change. */
  get state(): CallState {
    return this.#state;
  }

  status(): CallStatus {
    const { phase, lost } = this.#state;
    if (phase === 'ended') return 'closed';
    if (lost) return 'reconnecting';
    return phase === 'live' ? 'open' : phase;
  }

  /** End the call, at any time. */
  disconnect(): void {
    if (this.#state.phase === 'ended' || this.#hangupTimer) return;
    if (!this.#isPlaced) {
      this.#end();
      return;
    }
    // While the socket is away only its return can tell the gateway; the line knows how long that is worth trying.
    if (this.#state.away) this.#hangupTimer = -1;
    else this.#sendHangup();
  }

  /** Stop or resume sending the microphone. It is silent here at once, even without a network. */
  mute(on = true): void {
    this.#wishesMuted = on;
    this.#applyMute();
  }

  /** Play the phone's voice at this loudness, 0 to 1; iOS leaves that to the keys of the device. */
  setVolume(volume: number): void {
    this.#line.sound.setVolume(Math.min(1, Math.max(0, volume)));
  }

  isMuted(): boolean {
    return this.#state.muted;
  }

  /** Hold or resume the call. */
  hold(on = true): void {
    this.#change({ ...this.#state, held: on });
    this.#line.send({ type: 'hold', held: on });
  }

  isHeld(): boolean {
    return this.#state.held;
  }

  /** Press keys of the phone in the call: 0 to 9, *, #, A to D, and `w` for a pause. Throws CallerError for others. */
  sendDigits(digits: string): void {
    if (!KEYS.test(digits)) throw new CallerError('digits_invalid');
    let afterMs = 0;
    for (const [part] of digits.matchAll(PRESSED)) {
      if (part === 'w') afterMs += PAUSE_MS;
      else if (afterMs) window.setTimeout(() => this.#press(part), afterMs);
      else this.#press(part);
    }
  }

  #applyMute(): void {
    const muted = !!(this.#lack || this.#wishesMuted);
    this.#change({ ...this.#state, muted });
    this.#line.send({ type: 'mute', muted });
  }

  /** Go on muted without sound of the microphone, and as before once there is some. */
  #lose(why?: string): void {
    const before = this.#lack;
    if (why === before) return;
    this.#wishesMuted ??= this.#state.muted;
    this.#lack = why;
    if (before) this.#warn(before, false);
    if (why) this.#warn(why, true);
    this.#applyMute();
  }

  /** Tell of what is wrong on this page like of the gateway's own warnings. */
  #warn(name: string, isOn: boolean): void {
    this.#take({ type: isOn ? 'warning' : 'warning-cleared', name, message: '' });
  }

  #press(keys: string): void {
    if (this.#state.phase === 'ended') return;
    this.#change({ ...this.#state, sentDigits: keep(this.#state.sentDigits + keys) });
    this.#line.send({ type: 'dtmf', digits: keys });
  }

  async #run(to: string | KeptCall): Promise<void> {
    try {
      await Promise.race([this.#connect(to), this.#abort]);
    } catch (error) {
      this.#end(asCallerError(error));
    }
  }

  async #connect(to: string | KeptCall): Promise<void> {
    await Promise.all([this.#line.open(), this.setup.before?.()]);
    if (this.#state.phase === 'ended') return;
    const ready = new Promise<void>((resolve) => (this.#ready = resolve));
    if (typeof to === 'string') {
      // Asked for last: a token is good for a minute, and a person may take that to allow the microphone.
      const token = await within(TOKEN_MS, this.#token(to));
      if (this.state.phase === 'ended') return;
      const { rate, balance, affordable_seconds: remainingSeconds } = token;
      this.#change({ ...this.#state, rate, balance, remainingSeconds });
      this.#line.start(token);
      await within(READY_MS, ready);
    } else {
      this.#line.resume(to);
      await ready;
    }
    if (this.state.phase !== 'ended') this.#letSleep = keepAwake();
  }

  async #token(destination: string): Promise<CallToken> {
    try {
      return await this.setup.getToken(destination);
    } catch (error) {
      throw asCallerError(error, 'token_unavailable');
    }
  }

  #receive(message: GatewayMessage): void {
    this.#silentWatches = 0;
    if (this.#state.lost && !this.#state.away) this.#change(heardAgain(this.#state));
    if (message.type === 'ready') {
      this.#isPlaced = true;
      this.#ready();
      if (this.#hangupTimer) this.#sendHangup();
    }
    if (message.type === 'mute' && message.muted !== (!!this.#lack || (this.#wishesMuted ?? message.muted))) {
      this.#line.send({ type: 'mute', muted: !message.muted });
      return;
    }
    this.#take(message);
  }

  #take(message: GatewayMessage): void {
    const next = received(this.#state, message, performance.now());
    if (next.phase === 'ended') this.#cleanUp();
    this.#change(next);
    this.#tell(message);
  }

  /** Tell of what a message brings beside the state that follows from it. */
  #tell(message: GatewayMessage): void {
    const { type } = message;
    if (type === 'sample') this.emit(type, message);
    else if (type === 'cost') this.emit(type, message);
    else if (type === 'credit') this.emit(type, message);
    else if (type === 'warning') this.emit(type, message.name, message);
    else if (type === 'warning-cleared') this.emit(type, message.name);
    else if (type === 'dtmf') this.emit(type, message.digit);
  }

  #sendHangup(): void {
    this.#line.send({ type: 'hangup' });
    // Said into a socket that is dead it has to be said again, by the next one.
    this.#line.probe();
    window.clearTimeout(this.#hangupTimer);
    this.#hangupTimer = window.setTimeout(() => {
      if (!this.#state.away) this.#end();
    }, HANGUP_MS);
  }

  #away(away: boolean): void {
    const state = away ? unheard(this.#state, performance.now()) : heardAgain(this.#state);
    this.#change({ ...state, away });
    if (!away && this.#state.phase === 'live') this.#line.send({ type: 'hold', held: this.#state.held });
  }

  #look(): void {
    const { phase, lost } = this.#state;
    if (phase !== 'live' || lost || ++this.#silentWatches < SILENT_WATCHES) return;
    this.#line.probe();
    this.#change(unheard(this.#state, performance.now() + PROBED_MS));
  }

  #end(failure?: CallerError): void {
    if (this.#state.phase === 'ended') return;
    this.#cleanUp();
    this.#change(ended(this.#state, performance.now(), failure));
  }

  #cleanUp(): void {
    window.clearTimeout(this.#hangupTimer);
    window.clearInterval(this.#watch);
    window.removeEventListener('beforeunload', askBeforeLeaving);
    this.#line.close();
    this.#letSleep();
    // Lets #run settle if it still waits; #end ignores a second ending.
    this.#abort.catch(() => {});
    this.#fail(new CallerError('page_crashed'));
  }

  #change(state: CallState): void {
    const before = this.#state;
    this.#state = state;
    this.#line.sound.setMuted(state.muted || state.held);
    this.#line.isDue = state.phase === 'live' && !state.held;
    this.emit('changed', state);
    if (state.muted !== before.muted) this.emit('mute', state.muted);
    if (state.held !== before.held) this.emit('hold', state.held);
    if (state.supervised !== before.supervised) this.emit('supervised', state.supervised);
    if (state.phase !== before.phase) this.#tellPhase(state, before);
    else if (state.lost && !before.lost) this.emit('reconnecting', new CallerError('connection_lost'));
    else if (!state.lost && before.lost) this.emit('reconnected');
  }

  #tellPhase({ phase, failure, ending }: CallState, before: CallState): void {
    if (phase === 'ringing') this.emit('ringing');
    if (phase === 'live') this.emit('accept', this);
    if (phase !== 'ended') return;
    if (failure) this.emit('error', failure);
    else if (before.phase !== 'live' && (!ending || ending.ended_by === 'caller')) this.emit('cancel');
    this.emit('disconnect', ending);
  }
}

/** Return the state of a call that the page before this one left. */
function takingUp({ destination, seconds, seenAt }: KeptCall): CallState {
  const state = { ...dialling(destination), away: true, keptSeconds: seconds };
  return unheard(state, performance.now() - (Date.now() - seenAt));
}

function askBeforeLeaving(event: BeforeUnloadEvent): void {
  event.preventDefault();
}
