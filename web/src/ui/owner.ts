/** Says whose phone it is. Fires `forget` when the tab's key is to be forgotten. */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import type { Api } from '../api';
import { t } from '../i18n';
import { theme } from './theme';

export class Owner extends LitElement {
  static override properties = {
    api: { attribute: false },
    account: { attribute: false },
    busy: { attribute: false },
  };
  static override styles = [
    theme,
    css`
      footer {
        padding: 0 16px 24px;
        text-align: center;
      }
      button {
        background: transparent;
        font-size: 0.875rem;
        color: var(--muted);
      }
      a {
        display: inline-block;
        padding: 10px;
        color: var(--accent);
      }
    `,
  ];

  /** Without a key somebody is signed in. */
  declare api: Api;
  declare account: string | undefined;
  /** Whether a call goes on, which needs what it began with. */
  declare busy: boolean;

  protected override render(): TemplateResult {
    return html`<footer>
      <p class="muted">${this.account}</p>
      ${this.api.key
        ? html`<button type="button" ?disabled=${this.busy} @click=${this.#forget}>${t('forgetKey')}</button>`
        : html`<nav aria-label=${t('yourAccount')}>
            <a href="account">${t('yourAccount')}</a>
            <a href="account/calls">${t('allCalls')}</a>
            <a href="account/credit">${t('yourCredit')}</a>
          </nav>`}
    </footer>`;
  }

  readonly #forget = (): void => {
    this.dispatchEvent(new CustomEvent('forget'));
  };
}

customElements.define('caller-owner', Owner);
