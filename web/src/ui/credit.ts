/** What is left to call with, and around it what adds to it. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';
import { money } from '../i18n/figures';
import type { Money } from '../sdk/core';
import { fields } from './fields';
import { theme } from './theme';

export class Credit extends LitElement {
  static override properties = fields('balance', 'isShown');
  static override styles = [
    theme,
    css`
      .credit {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        min-height: 36px;
        border: 1px solid var(--line);
        border-radius: var(--radius-round);
        background: var(--card);
        font-size: var(--letters-s);
      }
      p {
        padding-inline: var(--space-3);
        line-height: 1.25;
      }
      b {
        font-weight: 600;
      }
    `,
  ];

  declare balance: Money | undefined;
  /** Whether the key may read the balance. */
  declare isShown: boolean;

  protected override render(): TemplateResult {
    const balance = this.balance ? money(this.balance) : '…';
    return html`<div class="credit">
      ${this.isShown
        ? html`<p class="number"><span class="muted">${t('credit')}</span> <b>${balance}</b></p>`
        : nothing}
      <slot></slot>
    </div>`;
  }
}

customElements.define('caller-credit', Credit);
