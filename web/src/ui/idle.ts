/** What the phone shows above the dialler while there is no call. Decides nothing. */

import type { CallState } from '../sdk/core';
import { html, nothing } from './element';
import type { TemplateResult } from './element';
import type { Phone } from './phone';

/** Draw what has become of the last call, and the way back to one that the page before this one left. */
export function aboveDialler(phone: Phone): TemplateResult {
  const { failure, state, kept } = phone;
  if (phone.takesFeedback && state) void import('./feedback');
  return html`${failure || state
      ? html`<caller-outcome .failure=${failure} .state=${state} .canTopUp=${!!phone.offer} .hasReceipt=${!phone.api.key}></caller-outcome>`
      : nothing}
    ${phone.takesFeedback && !failure && state?.answeredAtMs !== undefined && state.callId
      ? html`<caller-feedback .api=${phone.api} .callId=${state.callId}></caller-feedback>`
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
