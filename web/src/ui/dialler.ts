/** The phone before a call: number, price, keypad, Call. Fires `dial` with the number as its detail. */

import { LitElement, css, html } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { Quote, QuoteRefusal } from '../answers';
import type { Api } from '../api';
import { clock, failureInWords, price, t } from '../i18n';
import { dialled, grouped, isDiallable } from '../number';
import { CallerError } from '../sdk/core';
import { handset } from './icons';
import { ERASE, keypad, keypadStyle } from './keypad';
import { theme } from './theme';

/** Pause in typing after which the price is asked for. */
const QUOTE_MS = 400;

/** Shortest emergency code with its plus sign: from there on a number may already be one. */
const ASKED_LENGTH_MIN = 4;

/** Refusals of a number that is still being typed, which more digits may mend. */
const UNFINISHED = /^number_(too_short|invalid)$/;

/** Refusals of the number itself: it is not dialled. Others may be over by then. */
const OF_NUMBER = /^(number_|destination_)/;

export class Dialler extends LitElement {
  static override properties = {
    api: { attribute: false },
    text: { attribute: false },
    answer: { attribute: false },
    told: { attribute: false },
    complaint: { attribute: false },
  };
  static override styles = [
    theme,
    keypadStyle,
    css`
      form {
        display: grid;
        gap: 12px;
      }
      label {
        font-size: 0.875rem;
        color: var(--muted);
      }
      input {
        width: 100%;
        min-width: 0;
        min-height: 60px;
        padding: 0 16px;
        border: 1px solid var(--muted);
        border-radius: 16px;
        background: transparent;
        font-size: clamp(1rem, 8vw, 1.5rem);
        letter-spacing: 0.01em;
      }
      input::placeholder {
        color: var(--muted);
        opacity: 0.8;
      }
      .hint {
        min-height: 1.45em;
        overflow-wrap: anywhere;
      }
      .complaint {
        color: var(--stop);
      }
      .field {
        display: grid;
        gap: 6px;
      }
      .primary {
        display: flex;
        align-items: center;
        justify-content: center;
        gap: 10px;
        min-height: 56px;
        border-radius: 18px;
        font-size: 1.0625rem;
      }
    `,
  ];

  declare api: Api;
  declare text: string;
  /** What a call to the number would cost, or why it may not be placed, once that is known. */
  declare answer: Quote | QuoteRefusal | undefined;
  /** Code of the refusal that stands above already. */
  declare told: string | undefined;
  declare complaint: string;
  #quoted = '';
  #quoteTimer = 0;

  constructor() {
    super();
    this.text = '';
    this.complaint = '';
  }

  /** Show this number, ready to be dialled. */
  fill(number: string): void {
    this.#set(grouped(number));
  }

  /** Put the focus where Enter dials what is shown. */
  focusCall(): void {
    this.renderRoot.querySelector<HTMLElement>('.primary')?.focus();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.clearTimeout(this.#quoteTimer);
  }

  /** Ask anew what the call would cost: the credit is another. */
  requote(): void {
    this.#quoted = '';
    this.#askPrice();
  }

  /** The number as it would be dialled. */
  get number(): string {
    return dialled(this.text, navigator.language);
  }

  protected override firstUpdated(): void {
    // Not where a touch keyboard would cover half the page.
    if (window.matchMedia('(pointer: fine)').matches) this.#input.focus();
  }

  protected override updated(changed: PropertyValues): void {
    // Typed text is the field's own; only what others set is written into it.
    if (changed.has('text') && this.#input.value !== this.text) this.#input.value = this.text;
  }

  protected override render(): TemplateResult {
    return html`<form novalidate @submit=${this.#submit}>
      <div class="field">
        <label for="number">${t('numberLabel')}</label>
        <input
          id="number"
          class="number"
          type="tel"
          inputmode="tel"
          autocomplete="tel"
          enterkeyhint="go"
          maxlength="64"
          placeholder=${t('numberExample')}
          aria-describedby="hint"
          aria-invalid=${this.complaint || this.#refusal() ? 'true' : 'false'}
          @input=${(event: InputEvent) => this.#set((event.target as HTMLInputElement).value)}
        />
        <p id="hint" class="hint small ${this.#refusal() ? 'complaint' : 'muted'}" aria-live="polite">${this.#hint()}</p>
        <p class="hint small number" aria-live="polite">${this.#price()}</p>
      </div>
      ${keypad('dial', this.#press)}
      <button class="primary" type="submit">${handset}${t('call')}</button>
    </form>`;
  }

  #hint(): string {
    const problem = this.#refusal();
    if (problem && problem.code !== this.told) return failureInWords(new CallerError('request_refused', problem)).join(' ');
    if (this.complaint) return this.complaint;
    const number = this.number;
    return isDiallable(number) ? t('willDial', { number: grouped(number) }) : t('numberHint');
  }

  /** Return why the number that is written may not be called, if that is known and will not mend itself. */
  #refusal(): QuoteRefusal['refusal'] | undefined {
    const refusal = this.answer?.refusal;
    return refusal && (isDiallable(this.number) || !UNFINISHED.test(refusal.code)) ? refusal : undefined;
  }

  #price(): string {
    if (!this.answer || this.answer.refusal) return '';
    const { rate, affordable_seconds: seconds, limited_by: limit = 'credit' } = this.answer;
    const perMinute = t('perMinute', { price: price(rate.per_minute) });
    const fee = rate.connect_fee.micros ? ` ${t('connectFee', { price: price(rate.connect_fee) })}` : '';
    return t(`lasts.${limit}`, { price: perMinute + fee, time: clock(seconds) });
  }

  /** Ask for the price of the number as it stands once nothing more is typed. */
  #askPrice(): void {
    const number = this.number;
    if (number === this.#quoted) return;
    this.#quoted = number;
    this.answer = undefined;
    window.clearTimeout(this.#quoteTimer);
    if (number.length < ASKED_LENGTH_MIN) return;
    this.#quoteTimer = window.setTimeout(() => void this.#fetchPrice(number), QUOTE_MS);
  }

  async #fetchPrice(destination: string): Promise<void> {
    // Without an answer the number can be dialled all the same; the call then says what is wrong.
    const answer = await this.api.quote(destination);
    if (this.#quoted === destination) this.answer = answer;
  }

  get #input(): HTMLInputElement {
    return this.renderRoot.querySelector('input') as HTMLInputElement;
  }

  #set(text: string): void {
    this.text = text;
    this.complaint = '';
    this.#askPrice();
  }

  readonly #press = (key: string): void => {
    this.#set(key === ERASE ? this.text.trimEnd().slice(0, -1) : this.text + key);
    this.dispatchEvent(new CustomEvent('key', { detail: key }));
  };

  readonly #submit = (event: Event): void => {
    event.preventDefault();
    const number = this.number;
    const refusal = this.#refusal();
    if (refusal && OF_NUMBER.test(refusal.code)) {
      this.#input.focus();
      return;
    }
    if (isDiallable(number)) {
      this.dispatchEvent(new CustomEvent('dial', { detail: number }));
      return;
    }
    this.complaint = t(number ? 'numberBad' : 'numberEmpty');
    this.#input.focus();
  };
}

customElements.define('caller-dialler', Dialler);
