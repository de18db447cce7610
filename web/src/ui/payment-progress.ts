/**
 * One payment, from the payment service's page to the credit: asks the gateway until it has an outcome, for a bounded
 * time and only while somebody looks. Fires `concluded` once it has one, `retry` and `closed`.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { Payment, PaymentState } from '../answers';
import type { Api } from '../api';
import { money } from '../i18n/figures';
import { declineInWords, t } from '../i18n/top-up';
import { topUp } from '../payments-api';
import { asCallerError } from '../sdk/core';
import type { CallerError } from '../sdk/core';
import { fields } from './fields';
import { paymentAlert } from './payment-alert';
import { theme } from './theme';
import { told } from './told';

/** The payment to follow; `url` is its page while it is open in another tab. */
export interface FollowedPayment {
  id: string;
  url?: string;
}

interface Pace {
  pauseMs: number;
  asks: number;
}

/** The person has paid and waits: half a minute. */
const CONFIRMING: Pace = { pauseMs: 1000, asks: 30 };

/** The person pays in another tab: ten minutes of looking at this one. */
const ELSEWHERE: Pace = { pauseMs: 2000, asks: 300 };

const FINAL: readonly PaymentState[] = ['paid', 'failed', 'expired', 'disputed', 'lost'];

export class PaymentProgress extends LitElement {
  static override properties = fields('api', 'calling', 'followed', 'payment', 'failure', 'asking');
  static override styles = [
    theme,
    told,
    css`
      /* Above the phone and what stands beside it. */
      :host {
        grid-column: 1 / -1;
      }
      .card {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: var(--space-2) var(--space-4);
        padding: var(--space-3) var(--space-4);
        border-radius: var(--radius-m);
      }
      .words {
        flex: 1 1 220px;
        min-width: 0;
      }
      strong {
        display: block;
        font-weight: 600;
      }
      .buttons {
        display: flex;
        flex-wrap: wrap;
        gap: var(--space-2);
      }
      a {
        display: inline-grid;
        place-items: center;
        min-width: var(--target);
        min-height: var(--target);
        color: var(--accent);
      }
      .alert {
        flex: 1 1 100%;
      }
    `,
  ];

  declare api: Api;
  /** Whether a call is under way. */
  declare calling: boolean;
  declare followed: FollowedPayment;
  declare payment: Payment | undefined;
  declare failure: CallerError | undefined;
  declare asking: boolean;

  constructor() {
    super();
    this.asking = true;
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('followed')) void this.#follow();
  }

  protected override render(): TemplateResult {
    const { failure } = this;
    const [what, next] = failure ? ['', ''] : this.#words();
    return html`<div class="card">
      <p class="words" role="status" ?hidden=${!!failure}>
        <strong>${what}</strong>${next ? html` <span class="small muted">${next}</span>` : nothing}
      </p>
      ${failure ? paymentAlert(failure) : nothing}
      <div class="buttons">${this.#buttons()}</div>
    </div>`;
  }

  /** Return how the payment stands, and what is next. */
  #words(): [string, string] {
    const { payment } = this;
    const amount = payment ? money(payment.amount) : '';
    switch (payment?.state) {
      case 'paid':
        return [t('added', { amount }), ''];
      case 'failed':
        return [declineInWords(payment), t('failed.next')];
      case 'expired':
        return [t('expired'), t('expired.next')];
      case 'disputed':
      case 'lost':
        return [t('disputed', { amount }), t('disputed.next')];
      case 'processing':
        return [t('processing', { amount }), t('processing.next')];
      default:
        return this.#waiting(amount);
    }
  }

  #waiting(amount: string): [string, string] {
    if (!this.asking) return amount ? [t('unconfirmed'), t('unconfirmed.next', { amount })] : [t('unknown'), t('unknown.next')];
    if (!this.followed.url) return [t('confirming'), ''];
    return [t('elsewhere'), `${this.calling ? `${t('elsewhere.call')} ` : ''}${t('elsewhere.next')}`];
  }

  #buttons(): TemplateResult {
    const { state, receipt_url: receipt } = this.payment ?? {};
    const isOpen = !state || state === 'created' || state === 'open';
    return html`${isOpen && this.followed.url ? outside(this.followed.url, t('openPage')) : nothing}
      ${receipt ? outside(receipt, t('receipt')) : nothing}
      ${this.asking || FINAL.includes(state as PaymentState)
        ? nothing
        : html`<button type="button" @click=${() => void this.#follow()}>${t('tryAgain')}</button>`}
      ${state === 'failed' || state === 'expired'
        ? html`<button type="button" @click=${() => this.#fire('retry')}>${t('tryAgain')}</button>`
        : nothing}
      <button type="button" @click=${() => this.#fire('closed')}>${t('close')}</button>`;
  }

  #fire(event: string): void {
    this.dispatchEvent(new CustomEvent(event));
  }

  async #follow(): Promise<void> {
    const { followed } = this;
    const { pauseMs, asks } = followed.url ? ELSEWHERE : CONFIRMING;
    const isCurrent = (): boolean => this.isConnected && this.followed === followed;
    this.asking = true;
    this.failure = undefined;
    for (let asked = 0; asked < asks && isCurrent() && this.asking; asked++) {
      if (asked) await pause(pauseMs);
      await seen();
      const payment = isCurrent() ? await this.#ask(followed.id) : undefined;
      if (!isCurrent()) return;
      this.payment = payment ?? this.payment;
      if (payment && FINAL.includes(payment.state)) {
        this.dispatchEvent(new CustomEvent('concluded', { detail: payment }));
        break;
      }
    }
    this.asking = false;
  }

  /** Return the payment, or undefined where asking again may help. */
  async #ask(id: string): Promise<Payment | undefined> {
    try {
      return await topUp(this.api, id);
    } catch (error) {
      const failure = asCallerError(error);
      const { retry, status = 500 } = failure.problem ?? {};
      if (retry || status >= 500) return undefined;
      this.failure = failure;
      this.asking = false;
      return undefined;
    }
  }
}

/** Draw a link to a page of the payment service. */
function outside(url: string, words: string): TemplateResult {
  return html`<a href=${url} target="_blank" rel="noopener noreferrer" aria-label=${t('newTabLabel', { text: words })}
    >${words}</a
  >`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => window.setTimeout(resolve, ms));
}

/** Wait until the page is looked at. */
async function seen(): Promise<void> {
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
  }
}

customElements.define('caller-payment-progress', PaymentProgress);
