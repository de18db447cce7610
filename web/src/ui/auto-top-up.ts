/** Settings of top-ups without a person: whether, below what, how much. Fires `changed` with the new ones. */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { AutoTopUp, TopUpOffer } from '../answers';
import type { Api } from '../api';
import { money } from '../i18n/figures';
import { offInWords, t } from '../i18n/top-up';
import { setAutoTopUp } from '../payments-api';
import { asCallerError } from '../sdk/core';
import type { CallerError, Money } from '../sdk/core';
import { amountField, amountFieldStyle, amountWithin, decimal, smallest, written } from './amount-field';
import { checkboxStyle } from './checkbox';
import { fields } from './fields';
import { paymentAlert } from './payment-alert';
import { theme } from './theme';
import { told } from './told';

export class AutoTopUpForm extends LitElement {
  static override properties = fields(
    'api',
    'offer',
    'opened',
    'enabled',
    'threshold',
    'amount',
    'thresholdComplaint',
    'amountComplaint',
    'failure',
    'sending',
    'saved',
  );
  static override styles = [
    theme,
    told,
        amountFieldStyle,
    checkboxStyle,
    css`
      :host {
        margin-block-start: var(--space-4);
        border-block-start: 1px solid var(--line);
      }
      summary {
        display: flex;
        align-items: center;
        gap: var(--space-2);
        min-height: var(--target-l);
        cursor: pointer;
        font-weight: 600;
      }
      summary::before {
        content: '';
        width: 8px;
        height: 8px;
        border: solid currentColor;
        border-width: 0 2px 2px 0;
        rotate: -45deg;
        transition: rotate var(--quick);
      }
      details[open] summary::before {
        rotate: 45deg;
      }
      summary span {
        flex: none;
        margin-inline-start: auto;
        font-weight: 400;
      }
      form,
      .fields {
        display: grid;
        gap: var(--space-3);
      }
      .fields {
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 150px), 1fr));
        align-items: end;
      }
    `,
  ];

  declare api: Api;
  declare offer: TopUpOffer;
  declare opened: boolean;
  declare enabled: boolean;
  declare threshold: string;
  declare amount: string;
  declare thresholdComplaint: string;
  declare amountComplaint: string;
  declare failure: CallerError | undefined;
  declare sending: boolean;
  declare saved: boolean;

  constructor() {
    super();
    this.opened = this.sending = this.saved = false;
    this.thresholdComplaint = this.amountComplaint = '';
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('offer')) return;
    const { auto, minimum, amounts } = this.offer;
    this.enabled = auto.enabled;
    this.threshold = written(auto.threshold.micros ? auto.threshold : minimum);
    this.amount = written(auto.amount.micros ? auto.amount : (amounts[0] ?? minimum));
  }

  protected override render(): TemplateResult {
    const { auto } = this.offer;
    return html`<details @toggle=${(event: Event) => (this.opened = (event.target as HTMLDetailsElement).open)}>
      <summary>${t('auto')} <span class="small muted">${t(auto.enabled ? 'on' : 'off')}</span></summary>
      ${this.opened ? this.#form(auto) : nothing}
    </details>`;
  }

  #form(auto: AutoTopUp): TemplateResult {
    const why = auto.has_card ? '' : t('autoNoCard');
    return html`<form novalidate @submit=${this.#submit}>
      ${auto.off_reason ? html`<p class="alert">${offInWords(auto.off_reason)}</p>` : nothing}
      <label class="checkbox">
        <input
          type="checkbox"
          role="switch"
          aria-describedby="why"
          .checked=${this.enabled}
          ?disabled=${!auto.has_card && !auto.enabled}
          @change=${(event: Event) => this.#edit({ enabled: (event.target as HTMLInputElement).checked })}
        />
        <span>${t('autoSwitch')}</span>
      </label>
      <p id="why" class="small muted" ?hidden=${!why}>${why}</p>
      ${auto.has_card || auto.enabled ? this.#fields() : nothing}
    </form>`;
  }

  #fields(): TemplateResult {
    const { minimum, maximum } = this.offer;
    return html`<div class="fields">
        ${amountField({
          id: 'threshold',
          label: t('autoThreshold'),
          text: this.threshold,
          hint: '',
          complaint: this.thresholdComplaint,
          input: (threshold) => this.#edit({ threshold }),
        })}
        ${amountField({
          id: 'amount',
          label: t('autoAmount'),
          text: this.amount,
          hint: t('range', { minimum: money(minimum), maximum: money(maximum) }),
          complaint: this.amountComplaint,
          input: (amount) => this.#edit({ amount }),
        })}
      </div>
      ${this.failure ? paymentAlert(this.failure) : nothing}
      <button type="submit" ?disabled=${this.sending}>${t('autoSave')}</button>
      <p class="small muted" role="status">${this.saved ? t('autoSaved') : ''}</p>`;
  }

  #edit(values: Partial<Pick<this, 'enabled' | 'threshold' | 'amount'>>): void {
    Object.assign(this, values);
    this.thresholdComplaint = this.amountComplaint = '';
    this.saved = false;
  }

  readonly #submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (this.sending) return;
    const { minimum, maximum } = this.offer;
    const threshold = amountWithin(this.threshold, smallest(minimum), maximum);
    const amount = amountWithin(this.amount, minimum, maximum);
    this.thresholdComplaint = typeof threshold === 'string' ? threshold : '';
    this.amountComplaint = typeof amount === 'string' ? amount : '';
    if (typeof threshold !== 'string' && typeof amount !== 'string') void this.#save(threshold, amount);
    else this.renderRoot.querySelector<HTMLElement>(this.thresholdComplaint ? '#threshold' : '#amount')?.focus();
  };

  async #save(threshold: Money, amount: Money): Promise<void> {
    this.sending = true;
    this.failure = undefined;
    try {
      const auto = await setAutoTopUp(this.api, this.enabled, decimal(threshold), decimal(amount));
      this.saved = true;
      this.dispatchEvent(new CustomEvent('changed', { detail: auto }));
    } catch (error) {
      this.failure = asCallerError(error);
    }
    this.sending = false;
  }
}

customElements.define('caller-auto-top-up', AutoTopUpForm);
