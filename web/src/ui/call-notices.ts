/**
 * What a call under way has to say: when it will end of itself, and what is wrong with it. Stands around what it is
 * put around; `top-up` comes from it where credit is what is missing.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { TopUpOffer } from '../answers';
import type { Api } from '../api';
import { clock, t } from '../i18n';
import { seconds, warningInWords } from '../i18n/outcomes';
import type { CallState } from '../sdk/core';
import { fields } from './fields';
import { theme } from './theme';
import { told } from './told';
import { fireTopUp, topUpButton } from './top-up-button';

export class CallNotices extends LitElement {
  static override properties = fields('state', 'api', 'offer', 'nowMs');
  static override styles = [
    theme,
    told,
    css`
      .ending {
        font-weight: 600;
      }
      /* Stays in the page, so that screen readers watch it; takes no part in the grid. */
      .none {
        position: absolute;
      }
      .note {
        border-color: var(--accent);
        background: var(--soft);
      }
      .top-up {
        justify-self: start;
        margin-top: var(--space-2);
      }
    `,
  ];

  declare state: CallState;
  declare api: Api;
  /** What can be topped up; undefined where nothing can. */
  declare offer: TopUpOffer | undefined;
  /** Local monotonic milliseconds. */
  declare nowMs: number;

  protected override render(): TemplateResult {
    const { lost, cutAtMs, drainedAtMs, supervised } = this.state;
    const end = this.#endWarning();
    return html`<div class=${end ? 'alert ending' : 'none'}>
        ${end ? this.#timeLeft() : nothing}
        <div role="alert">${end}</div>
      </div>
      <p class=${supervised ? 'alert note' : 'none'} role="status">${supervised ? t(`supervised.${supervised}`) : nothing}</p>
      ${this.#countdown('cutIn', lost ? cutAtMs : undefined)} ${this.#countdown('drains', drainedAtMs)}
      <slot></slot>
      ${this.#warnings()}`;
  }

  /** Draw when the call will end of itself; not a live region, for it changes each second. */
  #countdown(name: 'cutIn' | 'drains', atMs: number | undefined): TemplateResult | typeof nothing {
    if (atMs === undefined) return nothing;
    const time = clock(Math.max(0, Math.ceil((atMs - this.nowMs) / 1000)));
    return html`<p class="alert number">${t(name, { time })}</p>`;
  }

  /** Draw the time that is left, as it is beside the cost; not a live region, for it changes each second. */
  #timeLeft(): TemplateResult | typeof nothing {
    const { endWarning, remainingSeconds } = this.state;
    if (!endWarning || remainingSeconds === undefined) return nothing;
    return html`<p class="number" aria-hidden="true">${t(`endsIn.${endWarning.cause}`, { time: clock(remainingSeconds) })}</p>`;
  }

  /** Words that stay as they are until the next warning: a screen reader reads each once. */
  #endWarning(): TemplateResult | undefined {
    const { endWarning } = this.state;
    if (!endWarning) return undefined;
    const { secondsLeft, cause } = endWarning;
    return html`<span class="hidden">${t(`endsIn.${cause}`, { time: seconds(secondsLeft) })}</span>${cause === 'credit'
        ? this.#topUp()
        : nothing}`;
  }

  #topUp(): TemplateResult | typeof nothing {
    const { api, offer } = this;
    if (!offer) return nothing;
    if (!offer.auto.has_card) return topUpButton(this);
    return html`<caller-saved-card
      .api=${api}
      .offer=${offer}
      @another=${() => fireTopUp(this)}
    ></caller-saved-card>`;
  }

  #warnings(): TemplateResult[] {
    const { lost, warnings } = this.state;
    const shown = Object.entries(warnings).filter(
      ([name]) =>
        // Of a gateway that is not heard nothing is known but what this page knows itself.
        (!lost || name.startsWith('microphone-')) &&
        // Who loses much loses some; what to do is the same.
        !(name === 'high-packet-loss' && 'high-packets-lost-fraction' in warnings),
    );
    return shown.map(([name, message]) => {
      const [what, next] = warningInWords(name, message);
      return html`<p class="alert small" part="warning" role="status"><strong>${what}</strong> <span>${next}</span></p>`;
    });
  }
}

customElements.define('caller-call-notices', CallNotices);
