/** Numbers the operator offers to try. Fires `choose` with the number as its detail. */

import { LitElement, css, html } from 'lit';
import type { TemplateResult } from 'lit';
import type { PhonebookEntry } from '../answers';
import { t } from '../i18n';
import { grouped } from '../number';
import { fields } from './fields';
import { theme } from './theme';

export class Phonebook extends LitElement {
  static override properties = fields('entries', 'busy');
  static override styles = [
    theme,
    css`
      section {
        display: grid;
        gap: var(--space-3);
      }
      ul {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 180px), 1fr));
        gap: var(--space-2);
        padding: 0;
        list-style: none;
      }
      button {
        width: 100%;
        height: 100%;
        padding: var(--space-2) var(--space-3);
        text-align: start;
      }
      span {
        display: block;
      }
    `,
  ];

  declare entries: PhonebookEntry[];
  /** A call is under way: nothing can be chosen. */
  declare busy: boolean;

  constructor() {
    super();
    this.entries = [];
    this.busy = false;
  }

  protected override render(): TemplateResult {
    return html`<section class="card" aria-labelledby="heading">
      <h2 id="heading">${t('phonebook')}</h2>
      <ul>
        ${this.entries.map((entry) => this.#entry(entry))}
      </ul>
    </section>`;
  }

  #entry({ number, label }: PhonebookEntry): TemplateResult {
    return html`<li>
      <button type="button" ?disabled=${this.busy} @click=${() => this.#choose(number)}>
        ${label} <span class="small muted number">${grouped(number)}</span>
      </button>
    </li>`;
  }

  #choose(number: string): void {
    this.dispatchEvent(new CustomEvent('choose', { detail: number }));
  }
}

customElements.define('caller-phonebook', Phonebook);
