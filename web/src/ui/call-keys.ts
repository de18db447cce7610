/** The keypad during a call, and what was pressed on either side. Fires `key` with the key as its detail. */

import { t } from '../i18n';
import type { CallState } from '../sdk/core';
import { DrawnElement, css, html } from './element';
import type { TemplateResult } from './element';
import { keypad, keypadStyle } from './keypad';
import { theme } from './theme';

export class CallKeys extends DrawnElement {
  static override properties = ['state'];
  static override styles = [
    theme,
    keypadStyle,
    css`
      p {
        display: flex;
        justify-content: space-between;
        gap: 12px;
        min-height: 1.45em;
        margin-bottom: 4px;
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

CallKeys.define('caller-call-keys');
