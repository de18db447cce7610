/** What failed about a payment, and what to do next. */

import { html } from 'lit';
import type { TemplateResult } from 'lit';
import type { CallFailure } from '../call/failure';
import { failureInWords } from '../i18n/top-up';

/** Draw the failure; it is read aloud at once. */
export function paymentAlert(failure: CallFailure): TemplateResult {
  const [what, next] = failureInWords(failure);
  return html`<p class="alert" role="alert"><strong>${what}</strong> <span>${next}</span></p>`;
}
