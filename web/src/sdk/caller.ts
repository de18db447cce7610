/**
 * The SDK's front: places calls, goes back to one after a reload, checks the line, knows the devices. One call at a
 * time.
 */

import { checkLine } from './check';
import type { CheckOptions, CheckReport } from './check';
import { Call } from './call/call';
import { endKept } from './call/end-kept';
import { CallerError, speak } from './call/error';
import type { AudioProcessor } from './call/microphone';
import { keptCall, tabStore } from './call/tab-store';
import type { KeptCall } from './call/tab-store';
import { Devices } from './devices';
import { Emitter } from './emitter';
import { OWN_WORDS } from './error-words';
import { WaitingToken } from './token';
import type { CallToken, Ending, MediaToken } from './wire';

/** Where this is built for, put in by the build: a page of the gateway, its `caller.js`, or the npm package. */
declare const BUILT_FOR: 'page' | 'gateway' | 'package';

export interface CallerOptions {
  /** A token that the page has already: the reply of `POST /v1/call-tokens`. Good for one call. */
  token?: CallToken;
  /** Gets the token of each call for which none is there. */
  getToken?: (destination: string) => Promise<CallToken>;
  /**
   * Origin on which the gateway is reached, such as https://calls.example.com. Where it is left out: the gateway that
   * served this file, or the one that the token names.
   */
  origin?: string;
  /** What this page does to the voice before it is sent. */
  audioProcessor?: AudioProcessor;
  /** Have the browser ask before the page is left during a call. */
  closeProtection?: boolean;
}

export interface CallerEvents {
  /** The token that waits for its call will expire in ten seconds: give another by `updateToken`. */
  tokenWillExpire: [];
}

export class Caller extends Emitter<CallerEvents> {
  readonly devices = new Devices();
  readonly #token = new WaitingToken();
  readonly #origin: string | undefined;
  #call: Call | undefined;
  #tokenTimer = 0;

  constructor(private readonly options: CallerOptions = {}) {
    super();
    speak(OWN_WORDS);
    this.#origin = options.origin ?? (BUILT_FOR === 'package' ? undefined : new URL(import.meta.url).origin);
    if (options.token) this.updateToken(options.token);
  }

  /** The call that is under way. */
  get activeCall(): Call | undefined {
    return this.#call?.status() === 'closed' ? undefined : this.#call;
  }

  /** A call that this page left when it was loaded again, while the gateway keeps it. */
  get keptCall(): KeptCall | undefined {
    return this.activeCall ? undefined : keptCall(Date.now());
  }

  /**
   * Call this number, or whom the token is for; what a reload has left is ended first. Call it inside the click or key
   * press. Throws CallerError if the browser cannot place calls, or one is under way.
   */
  call(destination = ''): Call {
    const kept = this.keptCall;
    return this.#place(destination, kept && (() => endKept(kept)));
  }

  /** Go back to the call that a reload has left, if there is one. Call it inside the click. Throws CallerError. */
  resume(): Call | undefined {
    const kept = this.keptCall;
    return kept && this.#place(kept);
  }

  /** End the call that a reload has left; return how it ended, if the gateway had it still. Throws CallerError. */
  async endKept(): Promise<Ending | undefined> {
    const kept = this.keptCall;
    return kept && endKept(kept);
  }

  /**
   * Check the line before a call, given how to get a token of `POST /v1/check-tokens`; it costs nothing. Call it inside
   * the click. Throws CallerError.
   */
  async check(getCheckToken: () => Promise<MediaToken>, options: CheckOptions = {}): Promise<CheckReport> {
    if (this.activeCall) throw new CallerError('already_in_call');
    const { audioProcessor } = this.options;
    return checkLine(getCheckToken, { origin: this.#origin, audioProcessor, ...options });
  }

  /** Have this token wait for the next call. */
  updateToken(token: CallToken): void {
    const nowMs = performance.now();
    this.#token.put(token, nowMs);
    window.clearTimeout(this.#tokenTimer);
    const warnInMs = this.#token.warnInMs(nowMs);
    if (warnInMs !== undefined) this.#tokenTimer = window.setTimeout(() => this.emit('tokenWillExpire'), warnInMs);
  }

  /** End the call, and give everything back. */
  destroy(): void {
    window.clearTimeout(this.#tokenTimer);
    this.#call?.disconnect();
    this.devices.close();
  }

  #place(to: string | KeptCall, before?: () => Promise<unknown>): Call {
    if (this.activeCall) throw new CallerError('already_in_call');
    const { audioProcessor, closeProtection } = this.options;
    const getToken = (destination: string): Promise<CallToken> => this.#tokenFor(destination);
    this.#call = new Call(to, { getToken, before, origin: this.#origin, audioProcessor, memory: tabStore, closeProtection });
    return this.#call;
  }

  async #tokenFor(destination: string): Promise<CallToken> {
    const given = this.#token.take(performance.now());
    if (given) {
      window.clearTimeout(this.#tokenTimer);
      return given;
    }
    if (!this.options.getToken) throw this.#token.lack();
    return this.options.getToken(destination);
  }
}
