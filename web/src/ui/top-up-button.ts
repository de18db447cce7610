/** “Top up now”, beside words that say why: fires `top-up` from the element that shows it, up to the page. */

import { html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';

/** Ask the page for the dialog in which credit is bought. */
export function fireTopUp(from: HTMLElement): void {
  from.dispatchEvent(new CustomEvent('top-up', { bubbles: true, composed: true }));
}

/** Return the button, drawn by this element. */
export function topUpButton(from: HTMLElement): TemplateResult {
  return html`<button type="button" class="primary top-up" @click=${() => fireTopUp(from)}>${t('topUpNow')}</button>`;
}
