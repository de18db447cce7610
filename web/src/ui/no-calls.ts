/** Stands where the phone would, for a key that may not place calls. */

import { LitElement, html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';
import { theme } from './theme';

export class NoCalls extends LitElement {
  static override styles = theme;

  protected override render(): TemplateResult {
    return html`<p class="card">${t('mayNotCall')}</p>`;
  }
}

customElements.define('caller-no-calls', NoCalls);
