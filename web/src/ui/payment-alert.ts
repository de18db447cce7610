/** What failed about a payment, and what to do next. */

import { html } from 'lit';
import type { TemplateResult } from 'lit';
import { failureInWords } from '../i18n/top-up';
import type { CallerError } from '../sdk/core';

/** Draw the failure; it is read aloud at once. */
export function paymentAlert(failure: CallerError): TemplateResult {
  const [what, next] = failureInWords(failure);
  return html`<p class="alert" role="alert"><strong>${what}</strong> <span>${next}</span></p>`;
}
