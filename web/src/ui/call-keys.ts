/** The keypad during a call, and what was pressed on either side. Fires `key` with the key as its detail. */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';
import type { CallState } from '../sdk/core';
import { fields } from './fields';
import { keypad, keypadStyle } from './keypad';
import { theme } from './theme';

export class CallKeys extends LitElement {
  static override properties = fields('state');
  static override styles = [
    theme,
    keypadStyle,
    css`
      p {
        display: flex;
        justify-content: space-between;
        gap: var(--space-3);
        min-height: 1.45em;
        margin-bottom: var(--space-1);
      }
    `,
  ];

  declare state: CallState;

  protected override render(): TemplateResult {
    const { sentDigits, heardDigits } = this.state;
    return html`<p class="small muted number">
        <span>${sentDigits ? t('sent', { digits: sentDigits }) : ''}</span>
        <span>${heardDigits ? t('received', { digits: heardDigits }) : ''}</span>
      </p>
      ${keypad('call', this.#press)}`;
  }

  readonly #press = (detail: string): void => {
    this.dispatchEvent(new CustomEvent('key', { detail, bubbles: true, composed: true }));
  };
}

customElements.define('caller-call-keys', CallKeys);
