/** What the phone shows above the dialler while there is no call. Decides nothing. */

import { html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { CallState } from '../sdk/core';
import type { Phone } from './phone';

/**
 * Draw what has become of the last call, a call that goes on in another tab, and the way back to one that the page before
 * this one left.
 */
export function aboveDialler(phone: Phone): TemplateResult {
  const { state, kept, reading } = phone;
  const elsewhere = kept ? undefined : reading?.tabs.elsewhere;
  return html`${phone.failure || state ? outcome(phone) : nothing}
    ${state?.callId && asks(phone)
      ? html`<caller-feedback .api=${phone.api} .callId=${state.callId}></caller-feedback>`
      : nothing}
    ${elsewhere
      ? html`<caller-elsewhere
          .number=${elsewhere.destination}
          .label=${phone.labelOf(elsewhere.destination)}
          @take=${() => reading?.tabs.take()}
        ></caller-elsewhere>`
      : nothing}
    ${kept
      ? html`<caller-return-call
          .call=${kept}
          .label=${phone.labelOf(kept.destination)}
          @ended=${({ detail }: CustomEvent<CallState>) => phone.endedUnseen(detail)}
          @return=${() => phone.dial(kept)}
          @gone=${phone.forgetKept}
        ></caller-return-call>`
      : nothing}`;
}

function outcome({ failure, state, offer, api }: Phone): TemplateResult {
  return html`<caller-outcome
    .failure=${failure}
    .state=${state}
    .canTopUp=${!!offer}
    .hasReceipt=${!api.key}
  ></caller-outcome>`;
}

/** Whether somebody is asked how the last call was: one that was answered, and is over. */
function asks({ failure, state, reading }: Phone): boolean {
  if (failure || state?.answeredAtMs === undefined || !reading?.takesFeedback) return false;
  void import('./feedback');
  return true;
}
