/** The way from a call to its page in the account, which shows how its price follows. */

import { css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';

/** Draw a link to the page of a call with this number; in a tab of its own, for a call may be going on here. */
export function receipt(callId: string, number: string): TemplateResult {
  return html`<a
    class="receipt small"
    href="account/calls/${encodeURIComponent(callId)}"
    target="_blank"
    aria-label=${t('callReceiptOf', { number })}
    >${t('callReceipt')}</a
  >`;
}

export const receiptStyle = css`
  .receipt {
    display: inline-block;
    padding-block: var(--space-1);
    color: var(--accent);
  }
`;
