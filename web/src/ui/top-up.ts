/**
 * “Top up”, and the dialog that sends a person to the payment service's page with an amount; it sees no card. Fires
 * `started` with a payment that goes on in another tab, because a call keeps this one.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { AutoTopUp, TopUpOffer } from '../answers';
import type { Api } from '../api';
import { money } from '../i18n/figures';
import { t } from '../i18n/top-up';
import { randomKey, startTopUp } from '../payments-api';
import { asCallerError } from '../sdk/core';
import type { CallerError, Money } from '../sdk/core';
import { amountField, amountFieldStyle, amountWithin, decimal } from './amount-field';
import './auto-top-up';
import { checkboxStyle } from './checkbox';
import { fields } from './fields';
import { paymentAlert } from './payment-alert';
import type { FollowedPayment } from './payment-progress';
import { theme } from './theme';
import { told } from './told';

/** What makes another payment of it. */
const THE_PAYMENT = ['opened', 'choice', 'text', 'saveCard'] as const;

/** The choice of an amount that is written. */
const OTHER = -1;

export class TopUp extends LitElement {
  static override properties = fields(
    'api',
    'offer',
    'calling',
    'opened',
    'choice',
    'text',
    'saveCard',
    'complaint',
    'failure',
    'sending',
  );
  static override styles = [
    theme,
    told,
        amountFieldStyle,
    checkboxStyle,
    css`
      .open {
        border-radius: var(--radius-round);
        color: var(--go);
        font-weight: 600;
      }
      dialog {
        width: min(100% - 24px, 440px);
        max-height: calc(100dvh - 24px);
        padding: var(--space-6);
        border: 1px solid var(--line);
        border-radius: var(--radius-l);
        background: var(--card);
        color: inherit;
        box-shadow: var(--shadow);
        overflow-wrap: anywhere;
      }
      /* Beside a call, or above its controls. */
      dialog:not(:modal) {
        position: fixed;
        inset: 8px 0 auto;
        z-index: 2;
        margin-inline: auto;
        max-height: calc(100dvh - var(--bar, 0px) - 16px);
        overflow: auto;
      }
      @media (min-width: 860px) {
        dialog:not(:modal) {
          inset-block-start: 84px;
          inset-inline: auto max(16px, (100vw - 908px) / 2);
          width: min(440px, 100vw - 492px);
          max-height: calc(100dvh - 100px);
        }
      }
      dialog::backdrop {
        background: var(--backdrop);
      }
      form {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--space-4);
      }
      fieldset {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, max(7rem, 40%)), 1fr));
        gap: var(--space-2);
        min-width: 0;
        margin: 0;
        padding: 0;
        border: 0;
      }
      legend {
        padding: 0 0 var(--space-2);
        font-size: var(--letters-s);
        font-weight: 600;
      }
      .option {
        position: relative;
        display: grid;
        place-items: center;
        min-height: var(--target-l);
        padding: var(--space-1) var(--space-2);
        border: 1px solid var(--muted);
        border-radius: var(--radius-s);
        text-align: center;
      }
      /* The legend is the first child. */
      .option:last-child:nth-child(even) {
        grid-column: 1 / -1;
      }
      .option input {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        margin: 0;
        opacity: 0;
        cursor: pointer;
      }
      .option:hover {
        background: var(--soft);
      }
      .option:has(:checked) {
        border-color: var(--go);
        box-shadow: inset 0 0 0 1px var(--go);
        background: var(--soft);
        font-weight: 600;
      }
      .option:has(:focus-visible) {
        outline: 3px solid var(--accent);
        outline-offset: 2px;
      }
      .buttons {
        display: grid;
        gap: var(--space-2);
      }
      .primary {
        min-height: var(--target-l);
        border-radius: var(--radius-m);
      }
      @media (forced-colors: active) {
        .option:has(:checked) {
          border: 3px solid Highlight;
        }
      }
    `,
  ];

  declare api: Api;
  declare offer: TopUpOffer;
  /** A call is under way, which leaving the page would end. */
  declare calling: boolean;
  declare opened: boolean;
  /** Micros, or OTHER. */
  declare choice: number;
  declare text: string;
  declare saveCard: boolean;
  declare complaint: string;
  declare failure: CallerError | undefined;
  declare sending: boolean;
  #idempotencyKey = '';

  constructor() {
    super();
    this.calling = this.opened = this.saveCard = this.sending = false;
    this.text = this.complaint = '';
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('pageshow', this.#cameBack);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('pageshow', this.#cameBack);
  }

  override focus(): void {
    this.renderRoot.querySelector('button')?.focus();
  }

  /** Open the dialog with nothing chosen but the first amount. */
  async open(): Promise<void> {
    if (this.opened) return;
    this.choice = this.offer.amounts[0]?.micros ?? OTHER;
    this.text = this.complaint = '';
    this.failure = undefined;
    this.saveCard = this.sending = false;
    this.opened = true;
    await this.updateComplete;
    // During a call nothing may lie over Mute and Hang up.
    if (this.calling) this.#dialog.show();
    else this.#dialog.showModal();
  }

  protected override willUpdate(changed: PropertyValues): void {
    // Another amount is another payment; the same one tried again is the same.
    if (THE_PAYMENT.some((name) => changed.has(name))) {
      this.#idempotencyKey = randomKey();
    }
  }

  protected override render(): TemplateResult {
    return html`<button type="button" class="open" @click=${() => this.open()}>${t('topUp')}</button>
      <dialog aria-labelledby="heading" @close=${() => (this.opened = false)} @keydown=${this.#keyDown}>
        ${this.opened ? this.#content() : nothing}
      </dialog>`;
  }

  #content(): TemplateResult {
    return html`<form novalidate @submit=${this.#submit}>
        <h2 id="heading">${t('heading')}</h2>
        ${this.#amounts()} ${this.choice === OTHER ? this.#field() : nothing}
        <label class="checkbox">
          <input
            type="checkbox"
            .checked=${this.saveCard}
            @change=${(event: Event) => (this.saveCard = (event.target as HTMLInputElement).checked)}
          />
          <span>${t('saveCard')}</span>
        </label>
        ${this.failure ? paymentAlert(this.failure) : nothing}
        <div class="buttons">
          <button class="primary" type="submit" ?disabled=${this.sending}>
            ${t(this.sending ? 'opening' : 'pay')}
          </button>
          <button type="button" @click=${() => this.#dialog.close()}>${t('close')}</button>
        </div>
        <p class="small muted">${t('hosted')} ${this.calling ? t('newTab') : nothing}</p>
      </form>
      <caller-auto-top-up
        .api=${this.api}
        .offer=${this.offer}
        @changed=${(event: CustomEvent<AutoTopUp>) => (this.offer = { ...this.offer, auto: event.detail })}
      ></caller-auto-top-up>`;
  }

  #amounts(): TemplateResult {
    return html`<fieldset>
      <legend>${t('amount')}</legend>
      ${this.offer.amounts.map((amount) => this.#option(amount.micros, money(amount)))}
      ${this.#option(OTHER, t('other'))}
    </fieldset>`;
  }

  #option(choice: number, words: string): TemplateResult {
    const isChosen = this.choice === choice;
    return html`<label class="option number">
      <input
        type="radio"
        name="amount"
        value=${choice}
        .checked=${isChosen}
        ?autofocus=${isChosen}
        @change=${() => this.#choose(choice)}
      />
      <span>${words}</span>
    </label>`;
  }

  #field(): TemplateResult {
    const { minimum, maximum } = this.offer;
    return amountField({
      id: 'other',
      label: t('other'),
      text: this.text,
      hint: t('range', { minimum: money(minimum), maximum: money(maximum) }),
      complaint: this.complaint,
      input: (text) => {
        this.text = text;
        this.complaint = '';
      },
    });
  }

  get #dialog(): HTMLDialogElement {
    return this.renderRoot.querySelector('dialog') as HTMLDialogElement;
  }

  /** Escape closes by itself only what is modal. */
  readonly #keyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && this.calling) this.#dialog.close();
  };

  #choose(choice: number): void {
    this.choice = choice;
    this.complaint = '';
  }

  /** Return the amount that is chosen, or in words why there is none. */
  #amount(): Money | string {
    const { minimum, maximum, amounts } = this.offer;
    const offered = amounts.find(({ micros }) => micros === this.choice);
    return offered ?? amountWithin(this.text, minimum, maximum);
  }

  readonly #submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (this.sending) return;
    const amount = this.#amount();
    if (typeof amount === 'string') {
      this.complaint = amount;
      this.renderRoot.querySelector<HTMLElement>('#other')?.focus();
      return;
    }
    void this.#start(amount);
  };

  async #start(amount: Money): Promise<void> {
    const key = this.#idempotencyKey;
    this.sending = true;
    this.failure = undefined;
    try {
      const { id, url } = await startTopUp(this.api, decimal(amount), this.saveCard, key);
      // Closed by then: the person has changed their mind.
      if (this.opened && this.#idempotencyKey === key) this.#leave({ id, url });
    } catch (error) {
      this.sending = false;
      this.failure = asCallerError(error);
      await this.updateComplete;
      this.renderRoot.querySelector<HTMLElement>('.primary')?.focus();
    }
  }

  #leave(payment: Required<FollowedPayment>): void {
    if (!this.calling) {
      this.dispatchEvent(new CustomEvent('leaving'));
      location.assign(payment.url);
      return;
    }
    window.open(payment.url, '_blank', 'noopener');
    this.#dialog.close();
    this.dispatchEvent(new CustomEvent('started', { detail: payment }));
  }

  /** A page that the browser kept while the person was away goes on where they left. */
  readonly #cameBack = ({ persisted }: PageTransitionEvent): void => {
    if (persisted) this.sending = false;
  };
}

customElements.define('caller-top-up', TopUp);
