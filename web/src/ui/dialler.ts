/** The phone before a call: number, price, keypad, Call. Fires `dial` with the number as its detail. */

import { LitElement, css, html } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { Api } from '../api';
import { t } from '../i18n';
import { dialled, grouped, isDiallable } from '../number';
import type { Money } from '../sdk/core';
import type * as Beside from './beside';
import { fields } from './fields';
import { handset } from './icons';
import { ERASE, keypad, keypadStyle } from './keypad';
import type { Quoting } from './quoting';
import { theme } from './theme';
import type { Writing } from './writing';

export class Dialler extends LitElement {
  static override properties = fields('api', 'balance', 'beside', 'text', 'told', 'complaint');
  static override styles = [
    theme,
    keypadStyle,
    css`
      form {
        display: grid;
        gap: var(--space-3);
      }
      label {
        font-size: var(--letters-s);
        color: var(--muted);
      }
      input {
        width: 100%;
        min-width: 0;
        min-height: 60px;
        padding: 0 var(--space-4);
        border: 1px solid var(--muted);
        border-radius: var(--radius-m);
        background: transparent;
        font-size: clamp(var(--letters-m), 5.5vw, var(--letters-xl));
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
        gap: var(--space-1);
      }
      .primary {
        display: flex;
        align-items: center;
        justify-content: center;
        gap: var(--space-2);
        min-height: var(--target-l);
        border-radius: var(--radius-m);
        font-size: var(--letters-l);
      }
    `,
  ];

  declare api: Api;
  /** What a call can cost: with another, what is known of the number is asked for again. */
  declare balance: Money | undefined;
  declare text: string;
  /** What comes beside the phone, once it is there. */
  declare beside: typeof Beside | undefined;
  /** Code of the refusal that stands above already. */
  declare told: string | undefined;
  declare complaint: string;
  #quoting: Quoting | undefined;
  #writing: Writing | undefined;

  constructor() {
    super();
    this.text = '';
    this.complaint = '';
  }

  /** Show this number, ready to be dialled. */
  fill(number: string): void {
    this.#set(this.#grouped(number));
  }

  /** Put the focus where Enter dials what is shown. */
  focusCall(): void {
    this.renderRoot.querySelector<HTMLElement>('.primary')?.focus();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#quoting?.stop();
  }

  /** Show what is written as it is read from now on. */
  reread(): void {
    this.#set(this.text);
    this.requestUpdate();
  }

  /** The number as it would be dialled. */
  get number(): string {
    return this.#writing?.national(this.text) ?? dialled(this.text, navigator.language);
  }

  protected override firstUpdated(): void {
    // Not where a touch keyboard would cover half the page.
    if (window.matchMedia('(pointer: fine)').matches) this.#input.focus();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.get('balance')) this.#quoting?.ask(true);
    if (!this.beside || this.#quoting) return;
    this.#writing = new this.beside.Writing(this);
    this.#quoting = new this.beside.Quoting(this);
  }

  protected override updated(changed: PropertyValues): void {
    // Typed text is the field's own; only what others set is written into it.
    if (changed.has('text') && this.#input.value !== this.text) this.#input.value = this.text;
  }

  protected override render(): TemplateResult {
    const isRefused = this.#quoting?.isRefused;
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
          aria-invalid=${this.complaint || isRefused ? 'true' : 'false'}
          @input=${(event: InputEvent) => this.#set((event.target as HTMLInputElement).value)}
        />
        <p id="hint" class="hint small ${isRefused ? 'complaint' : 'muted'}" aria-live="polite">${this.#hint()}</p>
        <p class="hint small number" aria-live="polite">${this.#quoting?.priceInWords()}</p>
      </div>
      ${keypad('dial', this.#press)}
      <button class="primary" type="submit">${handset}${t('call')}</button>
    </form>`;
  }

  #hint(): string {
    const problem = this.#quoting?.refusalInWords() ?? this.complaint;
    if (problem) return problem;
    const { number } = this;
    const words = isDiallable(number) ? t('willDial', { number: this.#grouped(number) }) : t('numberHint');
    return this.#writing?.placed(words, number) ?? words;
  }

  #grouped(number: string): string {
    return this.#writing?.shown(number) ?? grouped(number);
  }

  get #input(): HTMLInputElement {
    return this.renderRoot.querySelector('input') as HTMLInputElement;
  }

  #set(text: string): void {
    this.text = this.#writing?.tidy(text) ?? text;
    this.complaint = '';
    this.#quoting?.ask();
  }

  readonly #press = (key: string): void => {
    this.#set(key === ERASE ? this.text.replace(/\W+$/, '').slice(0, -1) : this.text + key);
    this.dispatchEvent(new CustomEvent('key', { detail: key }));
  };

  readonly #submit = (event: Event): void => {
    event.preventDefault();
    const number = this.number;
    if (this.#quoting?.forbids) {
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
