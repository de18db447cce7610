/** “Top up now”, beside words that say why: fires `top-up` from the element that shows it, up to the page. */

import { html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';

/** Return the button, drawn by this element. */
export function topUpButton(from: HTMLElement): TemplateResult {
  const fire = (): boolean => from.dispatchEvent(new CustomEvent('top-up', { bubbles: true, composed: true }));
  return html`<button type="button" class="primary top-up" @click=${fire}>${t('topUpNow')}</button>`;
}
