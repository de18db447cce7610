/**
 * One tap that charges the saved card, in the warning that a call ends. Fires `charged` with the payment once it is
 * begun, and `another` for the ordinary way.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { TopUpOffer } from '../answers';
import type { Api } from '../api';
import { money } from '../i18n/figures';
import { declineInWords, failureInWords, t } from '../i18n/top-up';
import { chargeSavedCard, randomKey } from '../payments-api';
import { asCallerError } from '../sdk/core';
import type { Money } from '../sdk/core';
import { decimal } from './amount-field';
import { fields } from './fields';
import { theme } from './theme';

export class SavedCard extends LitElement {
  static override properties = fields('api', 'offer', 'state', 'words');
  static override styles = [
    theme,
    css`
      :host {
        display: grid;
        gap: var(--space-2);
        margin-top: var(--space-2);
        font-weight: 400;
      }
      div {
        display: flex;
        flex-wrap: wrap;
        gap: var(--space-2);
      }
    `,
  ];

  declare api: Api;
  declare offer: TopUpOffer;
  /** `unknown`: whether the card was charged is to be found out with the same key. */
  declare state: 'ready' | 'charging' | 'unknown' | 'refused' | 'charged';
  /** What went wrong, and what is next. */
  declare words: [string, string];
  #idempotencyKey = '';

  constructor() {
    super();
    this.state = 'ready';
    this.words = ['', ''];
  }

  protected override render(): TemplateResult {
    const amount = money(this.#amount);
    const isCharging = this.state === 'charging';
    return html`${this.words[0] ? html`<p><strong>${this.words[0]}</strong> ${this.words[1]}</p>` : nothing}
      <div>
        ${this.state === 'charged' || this.state === 'refused'
          ? nothing
          : html`<button type="button" class="primary tap" ?disabled=${isCharging} @click=${() => void this.#charge()}>
              ${t(isCharging ? 'tapping' : this.state === 'unknown' ? 'tapAgain' : 'tap', { amount })}
            </button>`}
        ${this.state === 'charged'
          ? nothing
          : html`<button type="button" class="another" @click=${this.#chooseAnother}>${t('another')}</button>`}
      </div>`;
  }

  readonly #chooseAnother = (): void => {
    this.dispatchEvent(new CustomEvent('another'));
  };

  /** What automatic top-ups add, else the first amount that is offered, as far as the card may be charged. */
  get #amount(): Money {
    const { auto, amounts, minimum } = this.offer;
    return auto.amount.micros ? auto.amount : (amounts[0] ?? minimum);
  }

  async #charge(): Promise<void> {
    if (this.state === 'charging') return;
    if (this.state !== 'unknown') this.#idempotencyKey = randomKey();
    this.state = 'charging';
    this.words = ['', ''];
    try {
      const payment = await chargeSavedCard(this.api, decimal(this.#amount), this.#idempotencyKey);
      if (payment.state === 'failed') {
        this.#stop('refused', [declineInWords(payment), t('failed.next')]);
      } else if (payment.state === 'created') {
        this.#stop('unknown', [t('tapUnknown'), t('refused.next')]);
      } else {
        this.#stop('charged', [t(payment.state === 'paid' ? 'added' : 'confirming', { amount: money(payment.amount) }), '']);
        this.dispatchEvent(new CustomEvent('charged', { detail: { id: payment.id }, bubbles: true, composed: true }));
      }
    } catch (error) {
      const failure = asCallerError(error);
      const { status = 0 } = failure.problem ?? {};
      // Also while another charge is under way: a second one would be one too many.
      const isRefused = failure.kind === 'request_refused' && status < 500 && status !== 429;
      this.#stop(isRefused ? 'refused' : 'unknown', failureInWords(failure));
    }
  }

  #stop(state: SavedCard['state'], words: [string, string]): void {
    this.state = state;
    this.words = words;
  }
}

customElements.define('caller-saved-card', SavedCard);
