/** Says whose phone it is, and offers to open links of numbers in it. Fires `forget` when the tab's key is to be forgotten. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { Api } from '../api';
import { t } from '../i18n';
import { fields } from './fields';
import { theme } from './theme';

/** Safari and phones have no such choice. */
const canTakeLinks = 'registerProtocolHandler' in navigator && window.isSecureContext;

/** Have the browser ask whether links of numbers (RFC 3966) are to be opened here. */
function takeLinks(): void {
  navigator.registerProtocolHandler('tel', `${location.origin}${location.pathname}#to=%s`);
}

export class Owner extends LitElement {
  static override properties = fields('api', 'account', 'busy');
  static override styles = [
    theme,
    css`
      footer {
        padding: 0 var(--space-4) var(--space-6);
        text-align: center;
      }
      button {
        background: transparent;
        font-size: var(--letters-s);
        color: var(--muted);
      }
      a {
        display: inline-block;
        padding: var(--space-3);
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
      ${canTakeLinks ? html`<button type="button" @click=${takeLinks}>${t('takeLinks')}</button>` : nothing}
    </footer>`;
  }

  readonly #forget = (): void => {
    this.dispatchEvent(new CustomEvent('forget'));
  };
}

customElements.define('caller-owner', Owner);
