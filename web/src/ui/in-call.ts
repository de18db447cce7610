/**
 * The phone during a call: whom, how long, what it costs, levels and controls. Draws a CallState, decides nothing.
 * Fires `key` with a key of the pad as its detail, and `top-up`.
 */

import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Call } from '../call/call';
import { elapsedSeconds } from '../call/state';
import type { CallState, LineQuality } from '../call/state';
import { clock, money, t, warningInWords } from '../i18n';
import type { Key } from '../i18n';
import { grouped } from '../number';
import * as icons from './icons';
import { inCallStyle } from './in-call-style';
import { keypad, keypadStyle } from './keypad';
import { levelShare } from './level';
import { theme } from './theme';
import { topUpButton } from './top-up-button';

const QUALITY: Record<LineQuality, Key> = { good: 'lineGood', fair: 'lineFair', poor: 'linePoor' };

const PATH = { webrtc: 'WebRTC', websocket: 'WebSocket' };

const REDRAW_MS = 250;

export class InCall extends LitElement {
  static override properties = {
    call: { attribute: false },
    state: { attribute: false },
    label: { attribute: false },
    canTopUp: { attribute: false },
    opened: { attribute: false },
  };
  static override styles = [theme, keypadStyle, inCallStyle];

  declare call: Call;
  declare state: CallState;
  /** The number's name, if the phonebook has one. */
  declare label: string;
  /** Whether credit can be bought on this page. */
  declare canTopUp: boolean;
  declare opened: 'keypad' | 'sound' | undefined;
  #clock = 0;

  constructor() {
    super();
    this.label = '';
    this.canTopUp = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#clock = window.setInterval(() => this.requestUpdate(), REDRAW_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.clearInterval(this.#clock);
  }

  /** Move one meter; 0 to 1, linear. Bypasses rendering: it comes twenty times a second. */
  showLevel(side: 'microphone' | 'phone', rms: number): void {
    this.renderRoot.querySelector<HTMLElement>(`.${side} i`)?.style.setProperty('--share', levelShare(rms));
  }

  protected override render(): TemplateResult {
    const { state } = this;
    const live = state.phase === 'live';
    return html`
      <p class="who">
        ${this.label ? html`<span class="name">${this.label}</span>` : nothing}
        <bdi class="number ${this.label ? 'muted' : 'name'}">${grouped(state.destination)}</bdi>
      </p>
      ${live ? this.#time() : this.#waiting()}
      <div role="alert">${this.#endWarning()}</div>
      ${this.#facts()} ${live ? this.#meters() : nothing}
      <p class="hidden" role="status">${this.#spokenLine()}</p>
      ${this.#warnings()} ${live ? this.#controls() : nothing} ${live ? this.#panel() : nothing}
      <button type="button" class="danger end" @click=${() => this.call.hangUp()}>
        ${icons.handsetDown}${t('hangUp')}
      </button>
    `;
  }

  #time(): TemplateResult {
    return html`<p class="time number" role="timer">${clock(elapsedSeconds(this.state, performance.now()))}</p>`;
  }

  #waiting(): TemplateResult {
    const asking = this.state.phase === 'connecting' && !this.state.rate;
    return html`<div class="pulse" aria-hidden="true">${icons.handset}</div>
      ${asking ? html`<p class="small muted centre">${t('allowMicrophone')}</p>` : nothing}`;
  }

  #facts(): TemplateResult | typeof nothing {
    const { rate, cost, remainingSeconds, phase } = this.state;
    if (!rate) return nothing;
    const price = t('perMinute', { price: money(rate.per_minute) });
    return html`<dl class="facts">
      ${phase === 'live' ? fact('cost', cost ? money(cost) : '—') : nothing}
      ${remainingSeconds === undefined ? nothing : fact('remaining', clock(remainingSeconds))}
      ${fact('rate', price, rate.connect_fee.micros ? t('connectFee', { price: money(rate.connect_fee) }) : '')}
      ${phase === 'live' ? fact('line', this.#line(), this.#way()) : nothing}
    </dl>`;
  }

  #line(): TemplateResult | string {
    const { quality } = this.state;
    if (!quality) return t('lineUnknown');
    return html`<span class="bars ${quality}" aria-hidden="true"><i></i><i></i><i></i></span> ${t(QUALITY[quality])}`;
  }

  #way(): string {
    const { path, roundTripMs } = this.state;
    return typeof roundTripMs === 'number' ? t('lineBy', { path: PATH[path], ms: String(Math.round(roundTripMs)) }) : PATH[path];
  }

  /** Changes only with the quality or the path, so that a screen reader is silent between. */
  #spokenLine(): string {
    const { quality, path } = this.state;
    return quality ? t('lineIs', { line: t(QUALITY[quality]), path: PATH[path] }) : '';
  }

  #meters(): TemplateResult {
    const { browser, carrier } = this.state.talking;
    return html`<div class="meters">${meter('microphone', t('you'), browser)}${meter('phone', t('them'), carrier)}</div>`;
  }

  /** Words that stay as they are until the next warning: a screen reader reads each once. */
  #endWarning(): TemplateResult | typeof nothing {
    const { endWarning } = this.state;
    if (!endWarning) return nothing;
    const { secondsLeft, cause } = endWarning;
    return html`<p class="alert ending">
      <span>${t(`endsIn.${cause}`, { seconds: String(secondsLeft) })}</span>
      ${cause === 'credit' && this.canTopUp ? topUpButton(this) : nothing}
    </p>`;
  }

  #warnings(): TemplateResult[] {
    return Object.entries(this.state.warnings).map(([name, message]) => {
      const [what, next] = warningInWords(name, message);
      return html`<p class="alert small" role="status"><strong>${what}</strong> <span>${next}</span></p>`;
    });
  }

  #controls(): TemplateResult {
    const { muted, held } = this.state;
    return html`<div class="controls">
      <button type="button" aria-pressed=${muted} @click=${() => this.call.setMuted(!muted)}>
        ${muted ? icons.microphoneOff : icons.microphone}${t('mute')}
      </button>
      <button type="button" aria-pressed=${held} @click=${() => this.call.setHeld(!held)}>
        ${held ? icons.play : icons.pause}${t('hold')}
      </button>
      ${this.#opener('keypad', icons.pad)} ${this.#opener('sound', icons.sliders)}
    </div>`;
  }

  #opener(name: 'keypad' | 'sound', icon: TemplateResult): TemplateResult {
    const isOpen = this.opened === name;
    return html`<button type="button" aria-expanded=${isOpen} @click=${() => (this.opened = isOpen ? undefined : name)}>
      ${icon}${t(name)}
    </button>`;
  }

  #panel(): TemplateResult | typeof nothing {
    if (this.opened === 'keypad') return this.#keys();
    if (this.opened !== 'sound') return nothing;
    void import('./sound-settings');
    return html`<caller-sound-settings @changed=${() => this.call.applySound()}></caller-sound-settings>`;
  }

  #keys(): TemplateResult {
    const { sentDigits, heardDigits } = this.state;
    return html`<p class="digits small muted number">
        <span>${sentDigits ? t('sent', { digits: sentDigits }) : ''}</span>
        <span>${heardDigits ? t('received', { digits: heardDigits }) : ''}</span>
      </p>
      ${keypad('call', (key) => this.dispatchEvent(new CustomEvent('key', { detail: key })))}`;
  }
}

function fact(name: Key, value: string | TemplateResult, note = ''): TemplateResult {
  return html`<div>
    <dt>${t(name)}</dt>
    <dd class="number">${value}${note ? html`<small>${note}</small>` : nothing}</dd>
  </div>`;
}

function meter(side: 'microphone' | 'phone', who: string, talking: boolean): TemplateResult {
  return html`<div class="meter ${side} ${talking ? 'talking' : ''}">
    <span>${who}</span>
    <span class="bar" aria-hidden="true"><i></i></span>
    <span class="muted">${t(talking ? 'speaking' : 'silent')}</span>
  </div>`;
}

customElements.define('caller-in-call', InCall);
