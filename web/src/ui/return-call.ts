/**
 * A call whose page was loaded again: the way back, or its end. Fires `return` inside the click, `ended` with the
 * state of the call after it, and `gone` when it is too late for either.
 */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n/tools';
import { grouped } from '../number';
import { endKept } from '../sdk/call/end-kept';
import { dialling, ended, received, secondsLeft } from '../sdk/core';
import type { KeptCall } from '../sdk/core';
import { fields } from './fields';
import { theme } from './theme';

export { endKept };

const REDRAW_MS = 250;

export class ReturnCall extends LitElement {
  static override properties = fields('call', 'label', 'ending', 'stays');
  static override styles = [
    theme,
    css`
      div {
        display: grid;
        gap: var(--space-2);
        padding: var(--space-3);
        border-radius: var(--radius-s);
        background: var(--soft);
        text-align: center;
      }
      strong {
        font-weight: 600;
      }
    `,
  ];

  declare call: KeptCall;
  /** The number's name, if the phonebook has one. */
  declare label: string;
  declare ending: boolean;
  /** It could not be ended. */
  declare stays: boolean;
  #clock = 0;

  constructor() {
    super();
    this.label = '';
    this.ending = this.stays = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#clock = window.setInterval(() => this.#tick(), REDRAW_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.clearInterval(this.#clock);
  }

  protected override firstUpdated(): void {
    let active = document.activeElement;
    while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
    // Somebody typing a number would return to the call with the Enter that should dial.
    const isWriting = active instanceof HTMLInputElement && active.value !== '';
    if (!isWriting) this.renderRoot.querySelector('button')?.focus();
  }

  protected override render(): TemplateResult {
    const seconds = String(secondsLeft(this.call, Date.now()));
    const number = grouped(this.call.destination);
    return html`<div>
      <p id="title" role="alert">
        <strong>${t('returnTitle', { number: this.label ? `${this.label} (${number})` : number })}</strong>
        ${t(this.stays ? 'returnStays' : 'returnNext')}
      </p>
      <button
        type="button"
        class="primary"
        aria-describedby="title"
        ?disabled=${this.ending}
        @click=${() => this.#fire('return')}
      >
        ${t('returnButton')}
      </button>
      <button type="button" class="danger" ?disabled=${this.ending} @click=${() => void this.#end()}>
        ${t(this.ending ? 'returnEnding' : 'returnEnd')}
      </button>
      <p class="small muted number" aria-hidden="true">${t('returnSeconds', { seconds })}</p>
    </div>`;
  }

  #tick(): void {
    if (secondsLeft(this.call, Date.now())) this.requestUpdate();
    else if (!this.ending) this.#fire('gone');
  }

  async #end(): Promise<void> {
    this.ending = true;
    try {
      const how = await endKept(this.call);
      const state = dialling(this.call.destination);
      const nowMs = performance.now();
      const detail = how ? received(state, { type: 'disconnect', ...how }, nowMs) : ended(state, nowMs);
      this.dispatchEvent(new CustomEvent('ended', { detail }));
    } catch {
      this.stays = true;
    }
    this.ending = false;
  }

  #fire(name: 'return' | 'gone'): void {
    this.dispatchEvent(new CustomEvent(name));
  }
}

customElements.define('caller-return-call', ReturnCall);
