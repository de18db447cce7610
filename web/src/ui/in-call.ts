/**
 * The phone during a call: whom, how long, what it costs, levels and controls. Draws a CallState, decides nothing.
 * Fires `key` with a key of the pad as its detail, and `top-up`.
 */

import { LitElement, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { TopUpOffer } from '../answers';
import type { Api } from '../api';
import { clock, t } from '../i18n';
import { grouped } from '../number';
import { elapsedSeconds } from '../sdk/core';
import type { Call, CallState } from '../sdk/core';
import type { CallMeters } from './call-meters';
import { fields } from './fields';
import * as icons from './icons';
import { inCallStyle } from './in-call-style';
import { theme } from './theme';

const REDRAW_MS = 250;

export class InCall extends LitElement {
  static override properties = fields('api', 'call', 'label', 'offer', 'opened', 'state');
  static override styles = [theme, inCallStyle];

  declare call: Call;
  declare state: CallState;
  /** The number's name, if the phonebook has one. */
  declare label: string;
  declare api: Api;
  /** What can be topped up; undefined where nothing can. */
  declare offer: TopUpOffer | undefined;
  declare opened: 'keypad' | 'sound' | undefined;
  #clock = 0;
  /** Tells the page how much of its bottom the controls cover on a small screen. */
  readonly #dock = new ResizeObserver(([{ target }]) => {
    document.documentElement.style.setProperty('--bar', `${(target as HTMLElement).offsetHeight}px`);
    this.#showPanel();
  });

  constructor() {
    super();
    this.label = '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#clock = window.setInterval(() => this.requestUpdate(), REDRAW_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.clearInterval(this.#clock);
    this.#dock.disconnect();
    document.documentElement.style.removeProperty('--bar');
  }

  protected override firstUpdated(): void {
    this.#dock.observe(this.renderRoot.querySelector('.dock') as Element);
  }

  protected override willUpdate(): void {
    this.toggleAttribute('keypad', this.opened === 'keypad');
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('opened')) this.#showPanel();
  }

  #showPanel(): void {
    this.renderRoot.querySelector('.panel')?.scrollIntoView({ block: 'nearest' });
  }

  /** Show how loud microphone and phone are; 0 to 1, linear. */
  showLevels(...levels: number[]): void {
    // Not a function before what comes beside the phone is there.
    this.renderRoot.querySelector<CallMeters>('caller-call-meters')?.showLevels?.(...levels);
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
      <caller-call-notices .state=${state} .api=${this.api} .offer=${this.offer} .nowMs=${performance.now()}>
        <caller-call-facts .state=${state}></caller-call-facts>
        ${live ? html`<caller-call-meters .state=${state}></caller-call-meters>` : nothing}
      </caller-call-notices>
      <div class="dock">
        ${live ? this.#controls() : nothing}
        <button
          type="button"
          class="danger end"
          aria-keyshortcuts="Control+Shift+H"
          title="${t('hangUp')} (${t('hangUpKeys')})"
          @click=${() => this.call.disconnect()}
        >
          ${icons.handsetDown}${t('hangUp')}
        </button>
      </div>
      ${live ? this.#panel() : nothing}
    `;
  }

  #time(): TemplateResult {
    return html`<p class="time number" role="timer">${clock(elapsedSeconds(this.state, performance.now()))}</p>`;
  }

  #waiting(): TemplateResult {
    const asking = this.state.phase === 'connecting' && !this.state.rate;
    return html`<caller-call-pulse></caller-call-pulse>
      ${asking ? html`<p class="small muted centre">${t('allowMicrophone')}</p>` : nothing}`;
  }

  #controls(): TemplateResult {
    const { muted, held } = this.state;
    return html`<div class="controls">
      <button type="button" aria-pressed=${muted} aria-keyshortcuts="M" title="${t('mute')} (M)" @click=${() => this.call.mute(!muted)}>
        ${muted ? icons.microphoneOff : icons.microphone}${t('mute')}
      </button>
      <button type="button" aria-pressed=${held} aria-keyshortcuts="H" title="${t('hold')} (H)" @click=${() => this.call.hold(!held)}>
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
    if (this.opened === 'keypad') return html`<caller-call-keys class="panel" .state=${this.state}></caller-call-keys>`;
    if (this.opened !== 'sound') return nothing;
    void import('./sound-settings');
    return html`<caller-sound-settings class="panel"></caller-sound-settings>`;
  }
}

customElements.define('caller-in-call', InCall);
