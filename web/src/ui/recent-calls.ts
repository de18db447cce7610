/**
 * The latest calls of the account, each to be called again. Fires `redial` with the number as its detail, and `retry`
 * where they could not be read.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { CallRecord, PhonebookEntry } from '../answers';
import { clock, price, t, when } from '../i18n';
import { causeInWords } from '../i18n/outcomes';
import { grouped } from '../number';
import type { CallState } from '../sdk/core';
import { handset } from './icons';
import { theme } from './theme';

export class RecentCalls extends LitElement {
  static override properties = {
    calls: { attribute: false },
    last: { attribute: false },
    phonebook: { attribute: false },
    failed: { attribute: false },
    busy: { attribute: false },
    canCall: { attribute: false },
  };
  static override styles = [
    theme,
    css`
      section {
        display: grid;
        gap: 12px;
      }
      ul {
        container-type: inline-size;
        padding: 0;
        list-style: none;
      }
      li {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto auto;
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
      /* Large text or a narrow window: whom and when in lines of their own. */
      @container (max-width: 16rem) {
        li {
          grid-template-columns: minmax(0, 1fr) auto;
        }
        .who {
          grid-column: 1 / -1;
        }
        .figures {
          text-align: start;
        }
      }
    `,
  ];

  declare calls: CallRecord[] | undefined;
  /** The call that has just ended on this page: it is listed as its end was told until its record is written. */
  declare last: CallState | undefined;
  declare phonebook: PhonebookEntry[];
  declare failed: boolean;
  /** A call is under way: nothing can be redialled. */
  declare busy: boolean;
  /** Whether the key may place calls. */
  declare canCall: boolean;

  constructor() {
    super();
    this.phonebook = [];
    this.failed = this.busy = this.canCall = false;
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
    const calls = listed(this.calls, this.last);
    if (!calls) return html`<p class="small muted">${t('loading')}</p>`;
    if (!calls.length) return html`<p class="small muted">${t('recentEmpty')}</p>`;
    const now = new Date();
    return html`<ul>
      ${calls.map((call) => this.#row(call, now))}
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
        <span class="muted">${call.cost ? price(call.cost) : t('settling')}</span>
      </div>
      ${this.canCall ? this.#redial(call.destination, name ?? number) : nothing}
    </li>`;
  }

  #redial(destination: string, number: string): TemplateResult {
    return html`<button
        type="button"
        ?disabled=${this.busy}
        aria-label=${t('callAgain', { number })}
        @click=${() => this.dispatchEvent(new CustomEvent('redial', { detail: destination }))}
      >
        ${handset}
      </button>`;
  }
}

/** Return the calls with the one that has just ended here, as its end was told, until its record is written. */
export function listed(calls: CallRecord[] | undefined, last: CallState | undefined): CallRecord[] | undefined {
  const own = last && recordOf(last);
  if (!own || !calls || calls.some(({ id, state }) => id === own.id && state === 'ended')) return calls;
  return [own, ...calls.filter(({ id }) => id !== own.id)];
}

/** Return the record that a call's last message amounts to. */
function recordOf({ destination, ending, cost }: CallState): CallRecord | undefined {
  if (!ending) return undefined;
  const endedAt = new Date();
  return {
    id: ending.call_id,
    state: 'settling',
    destination,
    created_at: new Date(endedAt.getTime() - 1000 * (ending.seconds ?? 0)).toISOString(),
    answered_at: null,
    ended_at: endedAt.toISOString(),
    seconds: ending.seconds ?? 0,
    cost: cost ?? ending.cost,
    cause: ending.cause,
    cause_name: ending.name,
  };
}

customElements.define('caller-recent-calls', RecentCalls);
