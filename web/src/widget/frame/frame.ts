/**
 * The frame: reads how the button stands, calls when the visitor wants, and shows one state after another. What it
 * draws is in views.ts and in-call.ts, what it says in words.ts. Keeps nothing in the browser.
 */

import { playKey, stopKeys } from '../../sdk/call/tones';
import { Call, asCallerError, elapsedSeconds } from '../../sdk/core';
import type { CallState, CallToken } from '../../sdk/core';
import { h } from './dom';
import { EmbedApi } from './embed-api';
import type { Status } from './embed-api';
import { Host } from './host';
import { endsIn, InCall } from './in-call';
import { outcomeOf, toldIn } from './outcome';
import type { Outcome } from './outcome';
import type { Ended } from '../protocol';
import { mayTryAgain, problemOf } from './problem';
import { Screen } from './screen';
import { solve } from './solve';
import * as views from './views';
import { chooseLanguage, clock, next, t } from './words';

const REDRAW_MS = 250;

/** A signed token is good for a minute; an older one is asked for once more. */
const SIGNED_MS = 45_000;

/** Keys of a telephone, from a keyboard as from the pad (WCAG 2.2, 2.1.4: they act within the phone alone). */
const KEYS = /^[0-9*#]$/;

const BASE = new URL('..', import.meta.url);
const KEY = location.pathname.split('/').pop() ?? '';
const settings = new URLSearchParams(location.hash.slice(1));

class Frame {
  readonly #screen: Screen;
  readonly #actions: views.Actions;
  #call: Call | undefined;
  #inCall: InCall | undefined;
  #phase = '';
  /** What has failed was a call, not the look at the button. */
  #wasCalling = false;
  #takesFeedback = false;
  #clock = 0;

  constructor(
    private readonly main: HTMLElement,
    private readonly api: EmbedApi,
    private readonly host: Host,
  ) {
    const { isThere } = host;
    host.hangUp = () => this.#call?.disconnect();
    host.now = () => this.#call && endOf(this.#call.state);
    this.#actions = {
      call: () => this.#start(),
      again: () => void this.#again(),
      hangUp: () => this.#call?.disconnect(),
      page: new URL(`c/${KEY}`, BASE).href,
      qr: new URL(`c/${KEY}/qr.svg`, BASE).href,
      isFramed: isThere,
    };
    this.#screen = new Screen(main, isThere, () => host.tell({ type: 'close' }));
    document.addEventListener('keydown', (event) => this.#key(event));
    // A page that is left, or kept for the way back, must not go on talking.
    window.addEventListener('pagehide', () => this.#leave());
    // Only looks: the visitor may have left, or be speaking with somebody else by now.
    window.addEventListener('online', () => this.#phase === 'offline' && void this.#look(this.api.status(), t('online')));
    new ResizeObserver(() => this.#tellSize()).observe(main);
  }

  /** Show how the button stands; call at once where the page around wants that. */
  async open(asked: Promise<Status>): Promise<void> {
    await this.#load(asked);
    // On a page of our own the settings are a link's, which may come from anybody.
    const isAtOnce = this.host.isThere && settings.get('start') === 'at-once';
    if (this.#phase === 'ready' && isAtOnce && !terms()) this.#start();
  }

  async #load(asked = this.api.status()): Promise<void> {
    this.#show('loading', t('loading'), []);
    await this.#look(asked);
  }

  /** Show how the button stands in place of what is shown; `ready` says that it takes calls. */
  async #look(asked: Promise<Status>, ready = t('ready')): Promise<void> {
    const phase = this.#phase;
    try {
      const found = await asked;
      // The visitor has moved on by then.
      if (this.#phase !== phase) return;
      this.#screen.name(found.name, found.mode === 'test');
      this.#takesFeedback = found.takes_feedback;
      if (found.state === 'closed') {
        // If a call failed because of it, the surrounding page has been notified.
        if (!this.#wasCalling) this.host.tell({ type: 'error', code: 'button_closed', retry: false });
        // Shown at once, and the hours once they can be drawn.
        this.#show('closed', t('closed'), []);
        const { closed } = await import('./closed');
        if (this.#phase === 'closed') this.#show('closed', t('closed'), closed(found, this.#actions));
      } else if (found.state !== 'open') this.#fail(`button_${found.state}`);
      else if (!isAllowed()) this.#fail('blocked_by_page');
      else this.#show('ready', ready, views.ready(found, terms(), this.#actions));
    } catch (error) {
      if (this.#phase === phase) this.#fail(asCallerError(error).code);
    }
  }

  /** Retry what has failed: a visitor who was about to call continues there. */
  async #again(): Promise<void> {
    if (this.#wasCalling) this.#start();
    else await this.#load();
  }

  /** Begin a call; inside the click. There is one at a time, however often a program clicks. */
  #start(): void {
    if (this.#call) return;
    try {
      let prepared: Prepared = {};
      // A slow phone under a hard challenge takes longer than a token may.
      const over = new AbortController();
      const before = async (): Promise<unknown> => (prepared = await this.#prepare(over.signal));
      const call = (this.#call = new Call('', { before, getToken: () => this.#token(prepared), origin: BASE.origin }));
      call.on('changed', (state) => this.#follow(call, state));
      call.on('disconnect', () => over.abort());
      call.on('mute', (muted) => this.host.tell({ type: 'mute', muted }));
      call.on('volume', (input, output) => this.#inCall?.level(input, output));
      this.host.tell({ type: 'connecting' });
      this.#follow(call, call.state);
    } catch (error) {
      this.#fail(asCallerError(error).code);
    }
  }

  /** Have the call signed, or solve a challenge for it, while the visitor allows the microphone; until it is over. */
  async #prepare(over: AbortSignal): Promise<Prepared> {
    const { token, human } = await this.host.sign();
    if (token) return { signed: token, atMs: performance.now() };
    return { solution: await solve(this.api.challenge(), over), human };
  }

  async #token({ signed, atMs = 0, solution = '', human = '' }: Prepared): Promise<CallToken> {
    if (!signed) return this.api.token({ solution, human }, this.host.origin);
    const isFresh = performance.now() - atMs < SIGNED_MS;
    return this.api.token({ token: isFresh ? signed : (await this.host.sign()).token }, this.host.origin);
  }

  #follow(call: Call, state: CallState): void {
    if (call !== this.#call) return;
    const { phase, tone, muted, lost, endWarning } = state;
    if (phase === 'ended') {
      this.#end(state);
    } else if (phase === 'live') {
      if (this.#phase !== 'live') this.#answer(call, state);
      this.#inCall?.update(state, performance.now());
      this.#screen.say(t(lost ? 'reconnecting' : muted ? 'liveMuted' : 'live'));
      this.#screen.warn(endWarning ? t(endsIn(endWarning), { time: clock(endWarning.secondsLeft) }) : '');
    } else {
      const isRinging = phase === 'ringing';
      if (isRinging && this.#phase !== phase) this.host.tell({ type: 'ringing' });
      if (this.#phase !== phase) this.#show(phase, t(phase), views.waiting(isRinging, this.#actions));
      this.#screen.say(t(lost ? 'reconnecting' : tone === 'busy' ? 'busyTone' : tone ? 'failingTone' : phase));
    }
  }

  /** Ask how the call was, in place of an element, if it can be loaded and that still stands. */
  async #askHow(place: HTMLElement, callId: string): Promise<void> {
    try {
      const { feedback } = await import('./feedback');
      place.replaceWith(await feedback((stars) => this.api.feedback(callId, stars)));
    } catch {
      // The call is over and went well, so a visitor is not bothered with this failure.
    }
  }

  #answer(call: Call, state: CallState): void {
    this.host.tell({ type: 'accept' });
    this.#inCall = new InCall(state, {
      mute: (isMuted) => call.mute(isMuted),
      press: (key) => this.#press(key),
      volume: (volume) => call.setVolume(volume),
      hangUp: () => call.disconnect(),
    });
    this.#show('live', t('live'), this.#inCall.nodes);
    this.#clock = window.setInterval(() => {
      this.#inCall?.update(call.state, performance.now());
      this.#tellSize();
    }, REDRAW_MS);
  }

  /** Show and tell how the call went. */
  #end(state: CallState): void {
    const { failure, ending, answeredAtMs, callId } = state;
    window.clearInterval(this.#clock);
    this.#inCall = undefined;
    this.#call = undefined;
    this.#wasCalling = failure !== undefined;
    this.#screen.warn('');
    stopKeys();
    const end = endOf(state);
    if (failure) this.#fail(failure.code);
    this.host.tell({ type: 'ended', ...end });
    if (failure) return;
    const asked = this.#takesFeedback && answeredAtMs !== undefined && h('div');
    const todo = toldIn(ending, document.documentElement.lang) ?? next(end.outcome);
    this.#show('ended', t(end.outcome), views.ended(end.outcome, end.seconds, todo, this.#actions, asked));
    if (asked) void this.#askHow(asked, callId as string);
  }

  /** End the call of a page that is being left, without waiting for the gateway's answer. */
  #leave(): void {
    this.#call?.disconnect();
    if (this.#call) this.#end(this.#call.state);
  }

  /** Also during a call, when nothing but what would be told if it ended now has changed: that goes along (host.ts). */
  #tellSize(): void {
    this.host.tell({ type: 'size', height: String(this.main.offsetHeight) });
  }

  #fail(code: string): void {
    const what = problemOf(code);
    const isClosed = code === 'button_closed';
    this.host.tell({ type: 'error', code, retry: !isClosed && mayTryAgain(what) });
    // Whether the gateway says closed now, it says better itself when asked again.
    if (isClosed) return void this.#load();
    this.#show(what, t(what), views.problem(what, this.api.retryAfterS, this.#actions));
  }

  #show(phase: string, status: string, view: views.View): void {
    this.#phase = phase;
    this.#screen.show(status, view, this.#call !== undefined);
  }

  #press(key: string): void {
    playKey(key);
    this.#call?.sendDigits(key);
  }

  #key({ key, ctrlKey, altKey, metaKey }: KeyboardEvent): void {
    if (key === 'Escape') this.host.tell({ type: 'close' });
    else if (this.#phase === 'live' && KEYS.test(key) && !ctrlKey && !altKey && !metaKey) this.#press(key);
  }
}

/** Return how a call went, or would have gone if it ended now. */
function endOf(state: CallState): Ended & { outcome: Outcome } {
  const { failure, ending, answeredAtMs, cost = null } = state;
  const outcome = failure ? 'failed' : outcomeOf(ending, answeredAtMs !== undefined);
  return { outcome, seconds: elapsedSeconds(state, performance.now()), cost };
}

/** What a token is got for: a call that the owner has signed, or a solution. */
interface Prepared {
  signed?: string;
  /** When it was signed, in milliseconds of the monotonic clock. */
  atMs?: number;
  solution?: string;
  /** What says that a person calls; of no use where a call is signed. */
  human?: string;
}

/** Return the address of the terms that have to be accepted; empty where there are none. */
function terms(): string {
  const address = settings.get('terms') ?? '';
  return address.startsWith('https://') ? address : '';
}

/** Return whether the page around this one lends it the microphone, where the browser says so (W3C Permissions Policy). */
function isAllowed(): boolean {
  const { featurePolicy } = document as Document & { featurePolicy?: { allowsFeature: (name: string) => boolean } };
  return featurePolicy?.allowsFeature('microphone') ?? true;
}

const theme = settings.get('theme') ?? '';
if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
const host = new Host();
host.tell({ type: 'ready' });
const api = new EmbedApi(BASE, KEY);
const asked = api.status();
// Waited for once there are words to say how it went.
asked.catch(() => {});
await chooseLanguage([settings.get('language') ?? '', ...navigator.languages]);
void new Frame(document.querySelector('main') as HTMLElement, api, host).open(asked);
