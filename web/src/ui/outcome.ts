/** How a call ended, or why it or the page failed, and what to do next. Fires `top-up` where credit is what is missing. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { clock, t } from '../i18n';
import { failureInWords, price } from '../i18n/figures';
import { endingInWords } from '../i18n/outcomes';
import { grouped } from '../number';
import { elapsedSeconds } from '../sdk/core';
import type { CallerError, CallState } from '../sdk/core';
import { fields } from './fields';
import { receipt, receiptStyle } from './receipt';
import { theme } from './theme';
import { told } from './told';
import { topUpButton } from './top-up-button';

export class Outcome extends LitElement {
  static override properties = fields('failure', 'state', 'canTopUp', 'hasReceipt');
  static override styles = [
    theme,
    told,
    receiptStyle,
    css`
      /* Above the phone and what stands beside it. */
      :host {
        grid-column: 1 / -1;
      }
      .summary {
        padding: var(--space-3) var(--space-3);
        border-radius: var(--radius-s);
        background: var(--soft);
        text-align: center;
      }
      .summary strong,
      .summary span {
        display: block;
      }
      .summary strong {
        font-weight: 600;
      }
      .top-up {
        margin-top: var(--space-2);
      }
    `,
  ];

  declare failure: CallerError | undefined;
  /** The call that has ended. */
  declare state: CallState | undefined;
  declare canTopUp: boolean;
  /** Whether the reader can open the call's page. */
  declare hasReceipt: boolean;

  protected override render(): TemplateResult | typeof nothing {
    const failure = this.failure ?? this.state?.failure;
    if (failure) return this.#failed(failure);
    return this.state ? this.#summary(this.state) : nothing;
  }

  #failed(failure: CallerError): TemplateResult {
    const [what, next] = failureInWords(failure);
    return html`<p class="alert" role="alert"><strong>${what}</strong> <span>${next}</span></p>
      ${this.canTopUp && failure.code === 'insufficient_credit' ? topUpButton(this) : nothing}
      ${failure.code === 'form_of_another_account' ? loadAnew() : nothing}`;
  }

  #summary(state: CallState): TemplateResult {
    const untold = state.answeredAtMs === undefined ? 'cause.487' : 'cause.16';
    const [what, next] = state.ending ? endingInWords(state.ending) : [t(untold), ''];
    const seconds = state.ending?.seconds ?? elapsedSeconds(state, performance.now());
    const figures = { duration: clock(seconds), cost: state.cost ? price(state.cost) : '' };
    return html`<div class="summary" role="status">
      <strong>${what}</strong>
      ${state.cost ? html`<span class="small muted number">${t('summary', figures)}</span>` : nothing}
      ${next ? html`<span class="small">${next}</span>` : nothing}
      ${this.hasReceipt && state.callId && state.cost ? receipt(state.callId, grouped(state.destination)) : nothing}
      ${this.canTopUp && state.ending?.cut_off === 'credit' ? topUpButton(this) : nothing}
    </div>`;
  }
}

/** Somebody else may be signed in now: they see only what is theirs. */
function loadAnew(): TemplateResult {
  return html`<button type="button" class="primary top-up" @click=${() => location.reload()}>${t('loadAnew')}</button>`;
}

customElements.define('caller-outcome', Outcome);
