/** The twelve keys. Before a call the corners are plus and erase; in it they are star and hash. */

import { css, html } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';
import { erase } from './icons';

/** Letters below the digits (ITU-T E.161). */
const LETTERS = ['', 'ABC', 'DEF', 'GHI', 'JKL', 'MNO', 'PQRS', 'TUV', 'WXYZ'];

export const ERASE = 'erase';

/** Draw the keys; `press` gets a digit, and `+` or ERASE (dialling) or `*` or `#` (in a call). */
export function keypad(mode: 'dial' | 'call', press: (key: string) => void): TemplateResult {
  const [left, right] = mode === 'dial' ? ['+', ERASE] : ['*', '#'];
  const keys = [...'123456789', left, '0', right];
  return html`<div class="pad" role="group" aria-label=${t('keypad')}>
    ${keys.map(
      (key, i) => html`<button type="button" aria-label=${label(key)} @click=${() => press(key)}>
        <span>${key === ERASE ? erase : key}</span>
        ${LETTERS[i] ? html`<small aria-hidden="true">${LETTERS[i]}</small>` : ''}
      </button>`,
    )}
  </div>`;
}

function label(key: string): string {
  if (key === ERASE) return t('erase');
  return key === '+' ? t('plus') : t('key', { key });
}

export const keypadStyle = css`
  /* A telephone's keys stand alike wherever one reads from. */
  .pad {
    direction: ltr;
    display: grid;
    grid-template-columns: repeat(3, minmax(0, 1fr));
    gap: var(--space-2);
  }
  .pad button {
    display: grid;
    place-items: center;
    align-content: center;
    min-height: 3.375rem;
    padding: 0;
    border-radius: var(--radius-m);
    font-size: var(--letters-xl);
    line-height: 1.1;
  }
  .pad small {
    font-size: var(--letters-xs);
    letter-spacing: 0.02em;
    color: var(--muted);
  }
`;
