/** The latest payments of the account: when, how much, how each stands, what went back. Nothing before the first. */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { PaymentRecord } from '../answers';
import type { Api } from '../api';
import { money, when } from '../i18n/figures';
import { stateInWords, t } from '../i18n/top-up';
import { payments } from '../payments-api';
import type { Money } from '../sdk/core';
import { fields } from './fields';
import { theme } from './theme';

const PAYMENTS_MAX = 5;

export class Payments extends LitElement {
  static override properties = fields('api', 'balance', 'payments');
  static override styles = [
    theme,
    css`
      section {
        display: grid;
        gap: var(--space-3);
      }
      ul {
        padding: 0;
        list-style: none;
      }
      li {
        display: grid;
        grid-template-columns: 1fr auto;
        align-items: center;
        gap: 2px var(--space-3);
        min-height: 64px;
        padding: var(--space-3) 0;
        border-top: 1px solid var(--line);
      }
      li:first-child {
        border-top: 0;
      }
      .what {
        min-width: 0;
      }
      .what b {
        font-weight: 600;
      }
      .what span {
        display: block;
      }
      a {
        display: inline-grid;
        place-items: center;
        min-width: var(--target);
        min-height: var(--target);
        color: var(--accent);
      }
    `,
  ];

  declare api: Api;
  /** The credit as last read: each reading may follow a payment. */
  declare balance: Money | undefined;
  declare payments: PaymentRecord[];

  constructor() {
    super();
    this.payments = [];
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('balance') || changed.has('api')) void this.#read();
  }

  protected override render(): TemplateResult | typeof nothing {
    if (!this.payments.length) return nothing;
    const now = new Date();
    return html`<section class="card" aria-labelledby="heading">
      <h2 id="heading">${t('payments')}</h2>
      <ul>
        ${this.payments.map((payment) => row(payment, now))}
      </ul>
    </section>`;
  }

  async #read(): Promise<void> {
    try {
      this.payments = await payments(this.api, PAYMENTS_MAX);
    } catch {
      // What was known stays; the page itself says that the gateway does not answer.
    }
  }
}

function row(payment: PaymentRecord, now: Date): TemplateResult {
  const { amount, refunded, receipt_url: receipt } = payment;
  const date = when(payment.created_at, now);
  const words = [date, stateInWords(payment.state), payment.kind === 'auto' ? t('automatic') : ''];
  const label = t('newTabLabel', { text: t('receiptOf', { amount: money(amount), date }) });
  return html`<li>
    <div class="what">
      <b class="number">${money(amount)}</b>
      <span class="small muted">${words.filter(Boolean).join(' · ')}</span>
      ${refunded.micros ? html`<span class="small muted">${t('refunded', { amount: money(refunded) })}</span>` : nothing}
    </div>
    ${receipt
      ? html`<a class="small" href=${receipt} target="_blank" rel="noopener noreferrer" aria-label=${label}>${t('receipt')}</a>`
      : nothing}
  </li>`;
}

customElements.define('caller-payments', Payments);
