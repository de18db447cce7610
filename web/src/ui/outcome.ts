/** How a call ended, or why it or the page failed, and what to do next. Fires `top-up` where credit is what is missing. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { clock, failureInWords, price, t } from '../i18n';
import { endingInWords } from '../i18n/outcomes';
import { elapsedSeconds } from '../sdk/core';
import type { CallerError, CallState } from '../sdk/core';
import { theme } from './theme';
import { topUpButton } from './top-up-button';

export class Outcome extends LitElement {
  static override properties = {
    failure: { attribute: false },
    state: { attribute: false },
    canTopUp: { attribute: false },
  };
  static override styles = [
    theme,
    css`
      .summary {
        padding: 12px 14px;
        border-radius: 14px;
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
        margin-top: 8px;
      }
    `,
  ];

  declare failure: CallerError | undefined;
  /** The call that has ended. */
  declare state: CallState | undefined;
  declare canTopUp: boolean;

  protected override render(): TemplateResult | typeof nothing {
    const failure = this.failure ?? this.state?.failure;
    if (failure) return this.#failed(failure);
    return this.state ? this.#summary(this.state) : nothing;
  }

  #failed(failure: CallerError): TemplateResult {
    const [what, next] = failureInWords(failure);
    return html`<p class="alert" role="alert"><strong>${what}</strong> <span>${next}</span></p>
      ${this.canTopUp && failure.problem?.code === 'insufficient_credit' ? topUpButton(this) : nothing}`;
  }

  #summary(state: CallState): TemplateResult {
    const [what, next] = state.ending ? endingInWords(state.ending) : [t('cause.487'), ''];
    const seconds = state.ending?.seconds ?? elapsedSeconds(state, performance.now());
    const figures = { duration: clock(seconds), cost: state.cost ? price(state.cost) : '' };
    return html`<div class="summary" role="status">
      <strong>${what}</strong>
      ${state.cost ? html`<span class="small muted number">${t('summary', figures)}</span>` : nothing}
      ${next ? html`<span class="small">${next}</span>` : nothing}
      ${this.canTopUp && state.ending?.cut_off === 'credit' ? topUpButton(this) : nothing}
    </div>`;
  }
}

customElements.define('caller-outcome', Outcome);
