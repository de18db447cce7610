/**
 * One call from this page: opens the line and asks for the token in order, follows the gateway's messages, and gives
 * everything back at the end. Knows no markup; who shows it is told of every change.
 */

import type { Api } from '../api';
import type { GatewayMessage, Path } from '../wire';
import { within } from './deadline';
import { CallFailure, asFailure } from './failure';
import { Line } from './line';
import type { Side } from './sound';
import { dialling, ended, heardAgain, keep, received, unheard } from './state';
import type { CallState } from './state';
import type { KeptCall } from './tab-store';
import { keepAwake } from './wake-lock';

const TOKEN_MS = 10_000;
const READY_MS = 10_000;

/** How long the gateway may take to confirm a hang-up before the page closes the socket itself. */
const HANGUP_MS = 2000;

/** The gateway says something each second: after two of silence there is no connection. */
const WATCH_MS = 500;
const SILENT_WATCHES = 4;

/** How long it then takes to know that the socket is lost, from where the gateway's patience is counted. */
const PROBED_MS = 1500;

/** Shown like the gateway's own warnings. */
export const MICROPHONE_SILENT = 'microphone-silent';

export interface CallEvents {
  changed: (state: CallState) => void;
  /** Linear level, 0 to 1, ten times a second. */
  level: (side: Side, rms: number) => void;
}

export class Call {
  #state: CallState;
  readonly #line: Line;
  readonly #abort: Promise<never>;
  #fail: (failure: CallFailure) => void = () => {};
  #ready: () => void = () => {};
  /** The gateway has the call. */
  #isPlaced: boolean;
  #hangupTimer = 0;
  readonly #watch: number;
  /** Counted, not timed: a page that was busy takes what has come before it looks a second time. */
  #silentWatches = 0;
  /** Whether the microphone was muted on this page, which holds whatever a call taken up again says. */
  #wishesMuted: boolean | undefined;
  #letSleep: () => void = () => {};

  /**
   * Start dialling, once `before` is done, or go back to a call. Call it inside the click; throws CallFailure if
   * the browser cannot place calls.
   */
  constructor(
    to: string | KeptCall,
    private readonly api: Api,
    private readonly events: CallEvents,
    private readonly before?: () => Promise<unknown>,
  ) {
    const isKept = typeof to !== 'string';
    this.#state = isKept ? takingUp(to) : dialling(to);
    this.#isPlaced = isKept;
    this.#line = new Line({
      message: (message) => this.#receive(message),
      path: (path: Path) => this.#change({ ...this.#state, path }),
      away: (away) => this.#away(away),
      ended: (failure) => this.#end(this.#hangupTimer ? undefined : failure),
      level: events.level,
      dead: (isDead) => this.#dead(isDead),
    });
    this.#abort = new Promise((_, reject) => (this.#fail = reject));
    this.#watch = window.setInterval(() => this.#look(), WATCH_MS);
    void this.#run(to);
  }

  get state(): CallState {
    return this.#state;
  }

  /** End the call, at any time. */
  hangUp(): void {
    if (this.#state.phase === 'ended' || this.#hangupTimer) return;
    if (!this.#isPlaced) {
      this.#end();
      return;
    }
    // While the socket is away only its return can tell the gateway; the line knows how long that is worth trying.
    if (this.#state.away) this.#hangupTimer = -1;
    else this.#sendHangup();
  }

  /** Stop or resume sending the microphone. It is silent here at once, whatever the network does. */
  setMuted(muted: boolean): void {
    this.#wishesMuted = muted;
    this.#change({ ...this.#state, muted });
    this.#line.send({ type: 'mute', muted });
  }

  /** Hold or resume the call. */
  setHeld(held: boolean): void {
    this.#change({ ...this.#state, held });
    this.#line.send({ type: 'hold', held });
  }

  /** Press a key of the phone in the call. */
  press(key: string): void {
    this.#change({ ...this.#state, sentDigits: keep(this.#state.sentDigits + key) });
    this.#line.send({ type: 'dtmf', digits: key });
  }

  /** Change to the devices and the processing that are chosen now; what cannot be used changes nothing. */
  applySound(): void {
    void this.#line.applyChoice().catch(() => {});
  }

  async #run(to: string | KeptCall): Promise<void> {
    try {
      await Promise.race([this.#connect(to), this.#abort]);
    } catch (error) {
      this.#end(asFailure(error));
    }
  }

  async #connect(to: string | KeptCall): Promise<void> {
    // Meanwhile: a number that may not be called is no failed request.
    const quote = typeof to === 'string' ? this.api.quote(to) : undefined;
    await Promise.all([this.#line.open(), this.before?.()]);
    const refusal = (await quote)?.refusal;
    if (refusal) throw new CallFailure('request-refused', refusal);
    if (this.#state.phase === 'ended') return;
    const ready = new Promise<void>((resolve) => (this.#ready = resolve));
    if (typeof to === 'string') {
      // Asked for last: a token is good for a minute, and a person may take that to allow the microphone.
      const token = await within(TOKEN_MS, this.api.callToken(to));
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

  #receive(message: GatewayMessage): void {
    this.#silentWatches = 0;
    if (this.#state.lost && !this.#state.away) this.#state = heardAgain(this.#state);
    if (message.type === 'ready') {
      this.#isPlaced = true;
      this.#ready();
      if (this.#hangupTimer) this.#sendHangup();
    }
    if (message.type === 'mute' && message.muted !== (this.#wishesMuted ?? message.muted)) {
      this.#line.send({ type: 'mute', muted: !message.muted });
      return;
    }
    this.#take(message);
  }

  #take(message: GatewayMessage): void {
    const next = received(this.#state, message, performance.now());
    if (next.phase === 'ended') this.#cleanUp();
    this.#change(next);
  }

  #sendHangup(): void {
    this.#line.send({ type: 'hangup' });
    this.#hangupTimer = window.setTimeout(() => this.#end(), HANGUP_MS);
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

  #end(failure?: CallFailure): void {
    if (this.#state.phase === 'ended') return;
    this.#cleanUp();
    this.#change(ended(this.#state, performance.now(), failure));
  }

  #cleanUp(): void {
    window.clearTimeout(this.#hangupTimer);
    window.clearInterval(this.#watch);
    this.#line.close();
    this.#letSleep();
    // Lets #run settle if it still waits; #end ignores a second ending.
    this.#abort.catch(() => {});
    this.#fail(new CallFailure('page-crashed'));
  }

  #change(state: CallState): void {
    this.#state = state;
    this.#line.setMuted(state.muted || state.held);
    this.#line.isDue = state.phase === 'live' && !state.held;
    this.events.changed(state);
  }

  #dead(isDead: boolean): void {
    const name = MICROPHONE_SILENT;
    this.#take(isDead ? { type: 'warning', name, message: '' } : { type: 'warning-cleared', name });
  }
}

/** Return the state of a call that the page before this one left. */
function takingUp({ destination, seconds, seenAt }: KeptCall): CallState {
  const state = { ...dialling(destination), away: true, keptSeconds: seconds };
  return unheard(state, performance.now() - (Date.now() - seenAt));
}
