/**
 * Calls in other tabs of this browser: the tab that has one tells the others every other second, and any of them that
 * is used by the same account may take it over. The gateway then closes the socket of the tab before, which lets go
 * without hanging up. What takes a call up again is told to pages of this origin alone, and to no store.
 */

import { keptCall } from '../sdk/core';
import type { Call, KeptCall } from '../sdk/core';
import type { App } from './app';

const TELL_MS = 2000;

/** After so long without a word the other tab is gone; whether its call is as well, is not known here. */
const FRESH_MS = 5000;

type Told =
  | { kind: 'who' }
  | { kind: 'going'; call: KeptCall }
  | { kind: 'over'; callId: string }
  | { kind: 'taken'; callId: string };

export class OtherTabs {
  readonly #channel = new BroadcastChannel('caller-calls');
  #call: Call | undefined;
  #elsewhere: KeptCall | undefined;
  /** The call of this tab that another has taken over. */
  #taken = '';
  #timer = 0;

  constructor(private readonly app: App) {
    this.#channel.onmessage = ({ data }: MessageEvent<Told>) => this.#hear(data);
    this.#say({ kind: 'who' });
  }

  /** A call that goes on in another tab, if this account has one there. */
  get elsewhere(): KeptCall | undefined {
    return this.#isOurs(this.#elsewhere) ? this.#elsewhere : undefined;
  }

  /** Tell the other tabs of a call of this one until it has ended. */
  follow(call: Call): void {
    this.#call = call;
    // It may be the one that another tab had taken over.
    this.#taken = '';
    const timer = window.setInterval(this.#tell, TELL_MS);
    call.on('changed', ({ phase, callId }) => {
      if (phase !== 'ended') return;
      window.clearInterval(timer);
      if (this.#call === call) this.#call = undefined;
      if (!callId) return;
      if (callId !== this.#taken) this.#say({ kind: 'over', callId });
      // It has not ended: the other tab tells how it goes on.
      else if (this.app.phone) this.app.phone.state = undefined;
    });
    call.on('ringing', this.#tell).on('accept', this.#tell);
  }

  /** Go on with the call here. Call it inside the click: browsers let sound start only there. */
  take(): void {
    const call = this.elsewhere;
    if (!call || this.app.busy) return;
    this.#forget();
    this.#say({ kind: 'taken', callId: call.callId });
    this.app.phone?.dial(call);
  }

  readonly #tell = (): void => {
    const account = this.app.access?.account;
    // None before the gateway has the call, nor where it keeps none or storage is blocked.
    const call = account && keptCall(Date.now(), account);
    if (call && this.#call && call.callId === this.#call.state.callId) this.#say({ kind: 'going', call });
  };

  #hear(told: Told): void {
    if (told.kind === 'who') this.#tell();
    else if (told.kind === 'going') this.#going(told.call);
    else if (told.kind === 'taken') {
      if (this.#call?.state.callId === told.callId) this.#taken = told.callId;
    } else if (told.callId === this.#elsewhere?.callId) this.#forget();
  }

  /** Whether the call is of the account that the page is shown to, which may be another by now. */
  #isOurs(call: KeptCall | undefined): boolean {
    return call !== undefined && call.account === this.app.access?.account;
  }

  #going(call: KeptCall): void {
    if (!this.#isOurs(call)) return;
    const isNews = call.callId !== this.#elsewhere?.callId;
    this.#elsewhere = call;
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#forget(), FRESH_MS);
    if (isNews) this.app.phone?.requestUpdate();
  }

  #forget(): void {
    window.clearTimeout(this.#timer);
    this.#elsewhere = undefined;
    this.app.phone?.requestUpdate();
  }

  #say(told: Told): void {
    this.#channel.postMessage(told);
  }
}
