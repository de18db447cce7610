/** A call that goes on in another tab, and the way to go on with it here. Fires `take` inside the click. */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';
import { grouped } from '../number';
import { fields } from './fields';
import { theme } from './theme';

export class Elsewhere extends LitElement {
  static override properties = fields('number', 'label');
  static override styles = [
    theme,
    css`
      div {
        display: grid;
        gap: var(--space-2);
        padding: 14px;
        border-radius: 14px;
        background: var(--soft);
        text-align: center;
      }
      strong {
        font-weight: 600;
      }
    `,
  ];

  declare number: string;
  /** The number's name; empty for none. */
  declare label: string;

  protected override render(): TemplateResult {
    const number = grouped(this.number);
    return html`<div>
      <p id="title" role="status">
        <strong>${t('elsewhereTitle', { number: this.label ? `${this.label} (${number})` : number })}</strong>
      </p>
      <button type="button" class="primary" aria-describedby="title" @click=${() => this.dispatchEvent(new CustomEvent('take'))}>
        ${t('elsewhereTake')}
      </button>
    </div>`;
  }
}

customElements.define('caller-elsewhere', Elsewhere);
