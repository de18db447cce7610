/** The way back to a call whose page was loaded again. Fires `return` inside the click, and `gone` when it is too late. */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { secondsLeft } from '../call/tab-store';
import type { KeptCall } from '../call/tab-store';
import { t } from '../i18n/tools';
import { grouped } from '../number';
import { theme } from './theme';

const REDRAW_MS = 250;

export class ReturnCall extends LitElement {
  static override properties = { call: { attribute: false } };
  static override styles = [
    theme,
    css`
      div {
        display: grid;
        gap: 8px;
        padding: 14px;
        border-radius: 14px;
        background: var(--soft);
        text-align: center;
      }
      strong {
        font-weight: 600;
      }
    `,
  ];

  declare call: KeptCall;
  #clock = 0;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#clock = window.setInterval(() => this.#tick(), REDRAW_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.clearInterval(this.#clock);
  }

  protected override firstUpdated(): void {
    this.renderRoot.querySelector('button')?.focus();
  }

  protected override render(): TemplateResult {
    const seconds = String(secondsLeft(this.call, Date.now()));
    return html`<div>
      <p id="title" role="alert">
        <strong>${t('returnTitle', { number: grouped(this.call.destination) })}</strong> ${t('returnNext')}
      </p>
      <button type="button" class="primary" aria-describedby="title" @click=${() => this.#fire('return')}>
        ${t('returnButton')}
      </button>
      <p class="small muted number" aria-hidden="true">${t('returnSeconds', { seconds })}</p>
    </div>`;
  }

  #tick(): void {
    if (secondsLeft(this.call, Date.now())) this.requestUpdate();
    else this.#fire('gone');
  }

  #fire(name: 'return' | 'gone'): void {
    this.dispatchEvent(new CustomEvent(name));
  }
}

customElements.define('caller-return-call', ReturnCall);
