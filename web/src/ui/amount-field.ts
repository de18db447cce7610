/** A field for an amount of money, with what is wrong with it in words. Keeps nothing: a part of other forms. */

import { css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { decimalText, fieldText, minorDigits, parseAmount } from '../amount';
import { money } from '../i18n/figures';
import { t } from '../i18n/top-up';
import type { Money } from '../sdk/core';

export interface AmountField {
  id: string;
  label: string;
  text: string;
  hint: string;
  /** What is wrong; empty if nothing is. */
  complaint: string;
  input: (text: string) => void;
}

export const amountFieldStyle = css`
  .field {
    display: grid;
    gap: var(--space-1);
  }
  .field label {
    font-size: var(--letters-s);
    font-weight: 600;
  }
  .field input {
    width: 100%;
    min-height: var(--target-m);
    padding: 0 var(--space-3);
    border: 1px solid var(--muted);
    border-radius: var(--radius-s);
    background: transparent;
  }
  .field input[aria-invalid='true'] {
    border-color: var(--stop);
  }
  .complaint {
    color: var(--stop);
  }
`;

/** Draw the field. */
export function amountField({ id, label, text, hint, complaint, input }: AmountField): TemplateResult {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input
      id=${id}
      class="number"
      inputmode="decimal"
      autocomplete="off"
      maxlength="20"
      aria-describedby="${id}-hint"
      aria-invalid=${complaint ? 'true' : 'false'}
      .value=${text}
      @input=${(event: InputEvent) => input((event.target as HTMLInputElement).value)}
    />
    <p id="${id}-hint" class="small ${complaint ? 'complaint' : 'muted'}" aria-live="polite">${complaint || hint}</p>
  </div>`;
}

/** Return an amount as the reader writes it into a field. */
export function written({ micros, currency }: Money): string {
  return fieldText(micros, minorDigits(currency), navigator.language);
}

/** Return an amount as the gateway takes it. */
export function decimal({ micros, currency }: Money): string {
  return decimalText(micros, minorDigits(currency));
}

/** Return the least amount of the currency: one cent, one yen. */
export function smallest({ currency }: Money): Money {
  return { micros: 10 ** (6 - minorDigits(currency)), currency, text: '' };
}

/** Return the amount that was written, or in words why it is none between the two. */
export function amountWithin(text: string, minimum: Money, maximum: Money): Money | string {
  const { currency } = minimum;
  const micros = parseAmount(text, minorDigits(currency), navigator.language);
  if (micros === undefined) return t('amountBad', { example: written(maximum) });
  if (micros < minimum.micros) return t('amountLow', { minimum: money(minimum) });
  if (micros > maximum.micros) return t('amountHigh', { maximum: money(maximum) });
  return { micros, currency, text: '' };
}
