/**
 * The frame: reads how the button stands, calls when the visitor wants, and shows one state after another. What it
 * draws is in views.ts and in-call.ts, what it says in words.ts. Keeps nothing in the browser.
 */

import { Call, asCallerError, elapsedSeconds, keepNothing, playKey, stopKeys } from '../../sdk/core';
import type { CallState, CallToken } from '../../sdk/core';
import { button, h, present } from './dom';
import { EmbedApi } from './embed-api';
import type { Status } from './embed-api';
import { Host } from './host';
import { InCall } from './in-call';
import { outcomeOf } from './outcome';
import { mayTryAgain, problemOf } from './problem';
import { solve } from './solve';
import * as views from './views';
import { chooseLanguage, clock, known, t } from './words';

const REDRAW_MS = 250;

/** A signed token is good for a minute; an older one is asked for once more. */
const SIGNED_MS = 45_000;

/** Keys of a telephone, from a keyboard as from the pad (WCAG 2.2, 2.1.4: they act within the phone alone). */
const KEYS = /^[0-9*#]$/;

const BASE = new URL('..', import.meta.url);
const KEY = location.pathname.split('/').pop() ?? '';
const settings = new URLSearchParams(location.hash.slice(1));

class Frame {
  readonly #name = h('h1');
  readonly #status = h('p', { role: 'status', className: 'status', tabIndex: -1 });
  readonly #alert = h('p', { role: 'alert', className: 'hidden' });
  readonly #view = h('div', { className: 'view' });
  readonly #close = button('✕', () => this.host.tell({ type: 'close' }), 'close');
  readonly #actions: views.Actions;
  #call: Call | undefined;
  #inCall: InCall | undefined;
  #phase = '';
  /** What has failed was a call, not the look at the button. */
  #wasCalling = false;
  #clock = 0;

  constructor(
    main: HTMLElement,
    private readonly api: EmbedApi,
    private readonly host: Host,
  ) {
    const { isThere } = host;
    host.hangUp = () => this.#call?.disconnect();
    this.#actions = {
      call: () => this.#start(),
      again: () => void this.#again(),
      hangUp: () => this.#call?.disconnect(),
      page: new URL(`c/${KEY}`, BASE).href,
      qr: new URL(`c/${KEY}/qr.svg`, BASE).href,
      isFramed: isThere,
    };
    document.documentElement.classList.add(isThere ? 'framed' : 'alone');
    document.title = t('title');
    main.replaceChildren(h('header', {}, this.#name, isThere && this.#close), this.#status, this.#alert, this.#view);
    document.addEventListener('keydown', (event) => this.#key(event));
    // A page that is left, or kept for the way back, must not go on talking.
    window.addEventListener('pagehide', () => this.#call?.disconnect());
    window.addEventListener('online', () => this.#phase === 'offline' && void this.#again());
    new ResizeObserver(() => this.host.tell({ type: 'size', height: String(main.offsetHeight) })).observe(main);
  }

  /** Show how the button stands; call at once where the page around wants that. */
  async open(asked: Promise<Status>): Promise<void> {
    await this.#look(asked);
    if (this.#phase === 'ready' && settings.get('start') === 'at-once' && !terms()) this.#start();
  }

  async #look(asked = this.api.status()): Promise<void> {
    this.#show('loading', t('loading'), []);
    try {
      const found = await asked;
      this.#name.textContent = found.name;
      document.title = `${found.name} · ${t('title')}`;
      if (found.mode === 'test') this.#name.append(h('small', {}, t('test')));
      if (found.state === 'closed') this.#show('closed', t('closed'), views.closed(found, this.#actions));
      else if (found.state !== 'open') this.#fail(`button_${found.state}`);
      else if (!isAllowed()) this.#fail('blocked_by_page');
      else this.#show('ready', t('ready'), views.ready(found, terms(), this.#actions));
    } catch (error) {
      this.#fail(asCallerError(error).code);
    }
  }

  /** Try once more what has failed: whoever has been on the way to a call goes on there. */
  async #again(): Promise<void> {
    if (this.#wasCalling) this.#start();
    else await this.#look();
  }

  /** Begin a call; inside the click. */
  #start(): void {
    try {
      const prepared = this.#prepare();
      // The call waits for it, unless it fails before it comes to that.
      prepared.catch(() => {});
      const call = (this.#call = new Call('', { getToken: () => this.#token(prepared), origin: BASE.origin }));
      call.on('changed', (state) => this.#follow(call, state));
      call.on('volume', (input, output) => this.#inCall?.level(input, output));
      this.host.tell({ type: 'connecting' });
      this.#follow(call, call.state);
    } catch (error) {
      this.#fail(asCallerError(error).code);
    }
  }

  /** Have the call signed, or solve a challenge for it, while the visitor allows the microphone. */
  async #prepare(): Promise<Prepared> {
    const signed = await this.host.sign();
    if (signed) return { signed, atMs: performance.now() };
    return { solution: await solve(await this.api.challenge()) };
  }

  async #token(prepared: Promise<Prepared>): Promise<CallToken> {
    const { signed, atMs = 0, solution = '' } = await prepared;
    if (!signed) return this.api.token({ solution }, this.host.origin);
    const isFresh = performance.now() - atMs < SIGNED_MS;
    return this.api.token({ token: isFresh ? signed : ((await this.host.sign()) ?? '') }, this.host.origin);
  }

  #follow(call: Call, state: CallState): void {
    if (call !== this.#call) return;
    const { phase, tone, muted, lost, failure, ending, endWarning } = state;
    if (phase === 'ended') {
      this.#end(state);
      if (failure) this.#fail(failure.code);
      else {
        const outcome = outcomeOf(ending, state.answeredAtMs !== undefined);
        const seconds = elapsedSeconds(state, performance.now());
        this.host.tell({ type: 'ended', outcome, seconds });
        this.#show('ended', t(outcome), views.ended(outcome, seconds, known(`${outcome}.next`), this.#actions));
      }
    } else if (phase === 'live') {
      if (this.#phase !== 'live') this.#answer(call, state);
      this.#inCall?.update(state, performance.now());
      this.#say(t(lost ? 'reconnecting' : muted ? 'liveMuted' : 'live'));
      const warned = endWarning ? t('endsIn', { time: clock(endWarning.secondsLeft) }) : '';
      if (this.#alert.textContent !== warned) this.#alert.textContent = warned;
    } else {
      const isRinging = phase === 'ringing';
      if (isRinging && this.#phase !== phase) this.host.tell({ type: 'ringing' });
      if (this.#phase !== phase) this.#show(phase, t(phase), views.waiting(isRinging, this.#actions));
      this.#say(t(lost ? 'reconnecting' : tone === 'busy' ? 'busyTone' : tone ? 'failingTone' : phase));
    }
  }

  #answer(call: Call, state: CallState): void {
    this.host.tell({ type: 'accept' });
    this.#inCall = new InCall(state, {
      mute: (isMuted) => {
        call.mute(isMuted);
        this.host.tell({ type: 'mute', muted: isMuted });
      },
      press: (key) => this.#press(key),
      volume: (volume) => call.setVolume(volume),
      hangUp: () => call.disconnect(),
    });
    this.#show('live', t('live'), this.#inCall.nodes);
    this.#clock = window.setInterval(() => this.#inCall?.update(call.state, performance.now()), REDRAW_MS);
  }

  #end({ failure }: CallState): void {
    window.clearInterval(this.#clock);
    this.#inCall = undefined;
    this.#call = undefined;
    this.#wasCalling = failure !== undefined;
    this.#alert.textContent = '';
    stopKeys();
  }

  #fail(code: string): void {
    const what = problemOf(code);
    // Whether the gateway says closed now, it says better itself when asked again.
    if (code === 'button_closed') return void this.#look();
    this.host.tell({ type: 'error', code, retry: mayTryAgain(what) });
    this.#show(what, t(what), views.problem(what, this.api.retryAfterS, this.#actions));
  }

  #show(phase: string, status: string, children: views.View): void {
    const isFirst = this.#phase === '' || this.#phase === 'loading';
    this.#phase = phase;
    this.#say(status);
    const hadFocus = this.#view.contains(document.activeElement);
    this.#view.replaceChildren(...present(children));
    // Elsewhere a key that is held down would press what has come in place of the button.
    if (isFirst) this.#view.querySelector<HTMLElement>('.main')?.focus();
    else if (hadFocus) this.#status.focus();
    const isOn = this.#call !== undefined;
    this.#close.ariaLabel = t(isOn ? 'putAway' : 'close');
  }

  #say(status: string): void {
    if (this.#status.textContent !== status) this.#status.textContent = status;
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

/** What a token is got for: a call that the owner has signed, or a solution. */
interface Prepared {
  signed?: string;
  /** When it was signed, in milliseconds of the monotonic clock. */
  atMs?: number;
  solution?: string;
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
keepNothing();
const host = new Host();
host.tell({ type: 'ready' });
const api = new EmbedApi(BASE, KEY);
const asked = api.status();
// Waited for once there are words to say how it went.
asked.catch(() => {});
await chooseLanguage([settings.get('language') ?? '', ...navigator.languages]);
void new Frame(document.querySelector('main') as HTMLElement, api, host).open(asked);
