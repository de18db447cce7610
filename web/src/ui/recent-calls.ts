/**
 * The latest calls of the account, each to be called again. Fires `redial` with the number as its detail, and `retry`
 * where they could not be read.
 */

import { LitElement, css, html, nothing, svg } from 'lit';
import type { TemplateResult } from 'lit';
import type { CallRecord, PhonebookEntry } from '../answers';
import { clock, t } from '../i18n';
import { price, when } from '../i18n/figures';
import { causeInWords } from '../i18n/outcomes';
import { NAME_LENGTH_MAX, labelOf, setLabel } from '../labels';
import { grouped } from '../number';
import type { CallState } from '../sdk/core';
import { fields } from './fields';
import { handset, icon } from './icons';
import { receipt, receiptStyle } from './receipt';
import { theme } from './theme';

const pencil = icon(svg`<path d="M4 20l1-4L16 5l3 3L8 19zM14 7l3 3" />`, 16);

export class RecentCalls extends LitElement {
  static override properties = fields('calls', 'last', 'phonebook', 'failed', 'busy', 'canCall', 'hasReceipts', 'naming');
  static override styles = [
    theme,
    receiptStyle,
    css`
      section {
        display: grid;
        gap: var(--space-3);
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
        gap: var(--space-3);
        padding: var(--space-3) 0;
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
      .name {
        display: inline-grid;
        margin-inline-start: var(--space-1);
        background: transparent;
        color: var(--muted);
        vertical-align: middle;
      }
      .field {
        width: 100%;
        min-height: var(--target);
        padding: 0 var(--space-3);
        border: 1px solid var(--muted);
        border-radius: var(--radius-s);
        background: transparent;
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
  /** Whether the reader can open the pages of calls. */
  declare hasReceipts: boolean;
  /** The call whose number is being given a name. */
  declare naming: string | undefined;
  /** Whether the key may place calls. */
  declare canCall: boolean;

  constructor() {
    super();
    this.phonebook = [];
    this.failed = this.busy = this.canCall = this.hasReceipts = false;
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
    const name = labelOf(call.destination, this.phonebook) || undefined;
    return html`<li>
      <div class="who">
        ${this.naming === call.id
          ? this.#nameField(call.destination, name ?? '', number)
          : html`<bdi class="number">${name ?? number}</bdi>
              <button
                type="button"
                class="name"
                data-call=${call.id}
                title=${t('rename')}
                aria-label=${t('renameOf', { number: name ?? number })}
                @click=${() => this.#name(call.id)}
              >
                ${pencil}
              </button>`}
        <span class="small muted">${when(call.created_at, now)} · ${causeInWords(call.cause)}</span>
      </div>
      <div class="figures small number">
        <span>${clock(call.seconds)}</span>
        <span class="muted">${call.cost ? price(call.cost) : t('settling')}</span>
        ${this.hasReceipts && call.state === 'ended' && call.answered_at ? receipt(call.id, name ?? number) : nothing}
      </div>
      ${this.canCall ? this.#redial(call.destination, name ?? number) : nothing}
    </li>`;
  }

  #nameField(destination: string, name: string, number: string): TemplateResult {
    const keyDown = (event: KeyboardEvent): void => {
      const input = event.target as HTMLInputElement;
      if (event.key === 'Escape') input.value = name;
      else if (event.key !== 'Enter') return;
      // The button that gets the focus would take this key as its own.
      event.preventDefault();
      void this.#named(destination, input.value);
    };
    return html`<input
        class="field"
        .value=${name}
        placeholder=${number}
        maxlength=${NAME_LENGTH_MAX}
        autocomplete="off"
        aria-label=${t('nameOf', { number })}
        aria-describedby="kept"
        @keydown=${keyDown}
        @change=${({ target }: Event) => void this.#named(destination, (target as HTMLInputElement).value)}
      />
      <span id="kept" class="small muted">${t('nameKept')}</span>`;
  }

  async #name(callId: string): Promise<void> {
    this.naming = callId;
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLInputElement>('.field')?.select();
  }

  async #named(destination: string, name: string): Promise<void> {
    const callId = this.naming;
    if (!callId) return;
    setLabel(destination, name);
    this.naming = undefined;
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>(`[data-call="${CSS.escape(callId)}"]`)?.focus();
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
