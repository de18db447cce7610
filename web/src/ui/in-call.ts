/**
 * The phone during a call: whom, how long, what it costs, levels and controls. Draws a CallState, decides nothing.
 * Fires `key` with a key of the pad as its detail, and `top-up`.
 */

import { LitElement, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Call } from '../call/call';
import { elapsedSeconds, lineQuality } from '../call/state';
import type { CallState, LineQuality } from '../call/state';
import { clock, money, t } from '../i18n';
import type { Key } from '../i18n';
import { grouped } from '../number';
import * as icons from './icons';
import { inCallStyle } from './in-call-style';
import { keypad, keypadStyle } from './keypad';
import { theme } from './theme';
import { topUpButton } from './top-up-button';

const QUALITY: Record<LineQuality, Key> = { good: 'lineGood', fair: 'lineFair', poor: 'linePoor' };

/** Quietest level a meter shows, in dBov. */
const FLOOR_DB = -55;

const REDRAW_MS = 250;

export class InCall extends LitElement {
  static override properties = {
    call: { attribute: false },
    state: { attribute: false },
    label: {},
    canTopUp: { type: Boolean },
    padOpen: { state: true },
  };
  static override styles = [theme, keypadStyle, inCallStyle];

  declare call: Call;
  declare state: CallState;
  /** The number's name, if the phonebook has one. */
  declare label: string;
  /** Whether credit can be bought on this page. */
  declare canTopUp: boolean;
  declare padOpen: boolean;
  #clock = 0;

  constructor() {
    super();
    this.label = '';
    this.canTopUp = this.padOpen = false;
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
    const db = 20 * Math.log10(Math.max(rms, 1e-6));
    const share = Math.max(0, Math.min(1, 1 - db / FLOOR_DB));
    this.renderRoot.querySelector<HTMLElement>(`.${side} i`)?.style.setProperty('--share', share.toFixed(2));
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
      ${this.#warnings()} ${live ? this.#controls() : nothing} ${live && this.padOpen ? this.#keys() : nothing}
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
      ${phase === 'live' ? fact('line', this.#line()) : nothing}
    </dl>`;
  }

  #line(): string {
    const quality = lineQuality(this.state);
    if (!quality) return t('lineUnknown');
    return t('milliseconds', { line: t(QUALITY[quality]), ms: String(Math.round(this.state.roundTripMs ?? 0)) });
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
    return Object.entries(this.state.warnings).map(
      ([name, message]) =>
        html`<p class="alert small" role="status">${name === 'microphone-silent' ? t('warning.microphone-silent') : message}</p>`,
    );
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
      <button type="button" aria-expanded=${this.padOpen} @click=${() => (this.padOpen = !this.padOpen)}>
        ${icons.pad}${t('keypad')}
      </button>
    </div>`;
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

function fact(name: Key, value: string, note = ''): TemplateResult {
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
