/** Which keys do what in the phone, in a dialog that `open` shows and Escape closes. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { t } from '../i18n';
import type { Key } from '../i18n';
import { fields } from './fields';
import { theme } from './theme';

/** Keys as they are printed on them, or the words for those that are named by language, and what they do. */
const KEYS: [string | { named: Key }, Key][] = [
  ['M', 'mute'],
  ['H', 'hold'],
  [{ named: 'hangUpKeys' }, 'hangUp'],
  ['0–9 * #', 'keysDigits'],
  ['?', 'keysHelp'],
];

export class KeyHelp extends LitElement {
  static override properties = fields('opened');
  static override styles = [
    theme,
    css`
      :host {
        position: absolute;
      }
      dialog {
        width: min(100% - 24px, 360px);
        padding: var(--space-6);
        border: 1px solid var(--line);
        border-radius: var(--radius-l);
        background: var(--card);
        color: inherit;
        box-shadow: var(--shadow);
      }
      dialog::backdrop {
        background: rgb(0 0 0 / 55%);
      }
      dl {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: var(--space-2) var(--space-4);
        margin-block: var(--space-4);
      }
      dt {
        font-weight: 600;
      }
      form {
        margin-block-start: var(--space-4);
      }
    `,
  ];

  declare opened: boolean;

  async open(): Promise<void> {
    this.opened = true;
    await this.updateComplete;
    const dialog = this.renderRoot.querySelector('dialog');
    if (!dialog?.open) dialog?.showModal();
  }

  protected override render(): TemplateResult | typeof nothing {
    if (!this.opened) return nothing;
    return html`<dialog aria-labelledby="heading" @close=${() => (this.opened = false)}>
      <h2 id="heading">${t('keysHeading')}</h2>
      <dl>
        ${KEYS.map(
          ([key, does]) => html`<dt><kbd>${typeof key === 'string' ? key : t(key.named)}</kbd></dt>
            <dd>${t(does)}</dd>`,
        )}
      </dl>
      <p class="small muted">${t('keysWhere')}</p>
      <form method="dialog"><button>${t('close')}</button></form>
    </dialog>`;
  }
}

customElements.define('caller-key-help', KeyHelp);
