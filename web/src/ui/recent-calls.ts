/** The latest calls of the account, each to be called again. Fires `redial` with the number as its detail. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { causeInWords, clock, money, t, when } from '../i18n';
import { grouped } from '../number';
import type { CallRecord, PhonebookEntry } from '../wire';
import { handset } from './icons';
import { theme } from './theme';

export class RecentCalls extends LitElement {
  static override properties = {
    calls: { attribute: false },
    phonebook: { attribute: false },
    failed: { attribute: false },
    busy: { attribute: false },
  };
  static override styles = [
    theme,
    css`
      section {
        display: grid;
        gap: 12px;
      }
      ul {
        padding: 0;
        list-style: none;
      }
      li {
        display: grid;
        grid-template-columns: 1fr auto 44px;
        align-items: center;
        gap: 12px;
        padding: 10px 0;
        border-top: 1px solid var(--line);
      }
      li:first-child {
        border-top: 0;
      }
      .who {
        min-width: 0;
        font-weight: 600;
        overflow-wrap: anywhere;
      }
      .who span {
        display: block;
        font-weight: 400;
      }
      .figures {
        text-align: end;
        white-space: nowrap;
      }
      .figures span {
        display: block;
      }
      li button {
        display: grid;
        place-items: center;
        padding: 0;
        border-radius: 50%;
        color: var(--go);
      }
    `,
  ];

  declare calls: CallRecord[] | undefined;
  declare phonebook: PhonebookEntry[];
  declare failed: boolean;
  /** A call is under way: nothing can be redialled. */
  declare busy: boolean;

  constructor() {
    super();
    this.phonebook = [];
    this.failed = this.busy = false;
  }

  protected override render(): TemplateResult {
    return html`<section class="card" aria-labelledby="heading">
      <h2 id="heading">${t('recent')}</h2>
      ${this.failed ? this.#failure() : this.#list()}
    </section>`;
  }

  #failure(): TemplateResult {
    return html`<p class="small muted">${t('recentFailed')}</p>
      <button type="button" @click=${() => this.dispatchEvent(new CustomEvent('retry'))}>${t('tryAgain')}</button>`;
  }

  #list(): TemplateResult | typeof nothing {
    if (!this.calls) return html`<p class="small muted">${t('loading')}</p>`;
    if (!this.calls.length) return html`<p class="small muted">${t('recentEmpty')}</p>`;
    const now = new Date();
    return html`<ul>
      ${this.calls.map((call) => this.#row(call, now))}
    </ul>`;
  }

  #row(call: CallRecord, now: Date): TemplateResult {
    const number = grouped(call.destination);
    const name = this.phonebook.find((entry) => entry.number === call.destination)?.label;
    return html`<li>
      <div class="who">
        <bdi class="number">${name ?? number}</bdi>
        <span class="small muted">${when(call.created_at, now)} · ${causeInWords(call.cause)}</span>
      </div>
      <div class="figures small number">
        <span>${clock(call.seconds)}</span>
        <span class="muted">${money(call.cost)}</span>
      </div>
      <button
        type="button"
        ?disabled=${this.busy}
        aria-label=${t('callAgain', { number: name ?? number })}
        @click=${() => this.dispatchEvent(new CustomEvent('redial', { detail: call.destination }))}
      >
        ${handset}
      </button>
    </li>`;
  }
}

customElements.define('caller-recent-calls', RecentCalls);
