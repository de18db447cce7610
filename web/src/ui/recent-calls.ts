/**
 * The latest calls of the account, each to be called again; those that are not over are followed. Fires `redial` with
 * the number as its detail, and `read` with the calls as they are then.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { Api } from '../api';
import type { CallState } from '../call/state';
import { clock, price, t, when } from '../i18n';
import { causeInWords } from '../i18n/outcomes';
import { grouped } from '../number';
import type { CallRecord, Money, PhonebookEntry } from '../wire';
import { handset } from './icons';
import { theme } from './theme';

/** Pause before calls that are not over are read again; longer where that fails. */
const WATCH_MS = 1500;
const WATCH_MS_MAX = 30_000;

/** What is known of the calls after another look. */
export interface ReadCalls {
  calls: CallRecord[];
  /** The credit meanwhile, where it may be read and no call of this page says it. */
  left: Money | undefined;
  /** The record of a call has been written. */
  isOver: boolean;
}

export class RecentCalls extends LitElement {
  static override properties = {
    api: { attribute: false },
    calls: { attribute: false },
    last: { attribute: false },
    phonebook: { attribute: false },
    failed: { attribute: false },
    busy: { attribute: false },
    canCall: { attribute: false },
    canReadCredit: { attribute: false },
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
    `,
  ];

  declare api: Api;
  declare calls: CallRecord[] | undefined;
  /** The call that has just ended on this page: it is listed as its end was told until its record is written. */
  declare last: CallState | undefined;
  declare phonebook: PhonebookEntry[];
  declare failed: boolean;
  /** A call is under way: nothing can be redialled. */
  declare busy: boolean;
  /** Whether the key may place calls. */
  declare canCall: boolean;
  /** Whether the key may read the account. */
  declare canReadCredit: boolean;
  #watcher = 0;
  #failures = 0;

  constructor() {
    super();
    this.phonebook = [];
    this.failed = this.busy = this.canCall = this.canReadCredit = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('visibilitychange', this.#seen);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('visibilitychange', this.#seen);
    window.clearTimeout(this.#watcher);
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('calls') || changed.has('last')) this.#watch();
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
    const calls = this.#shown();
    if (!calls) return html`<p class="small muted">${t('loading')}</p>`;
    if (!calls.length) return html`<p class="small muted">${t('recentEmpty')}</p>`;
    const now = new Date();
    return html`<ul>
      ${calls.map((call) => this.#row(call, now))}
    </ul>`;
  }

  #shown(): CallRecord[] | undefined {
    const { calls } = this;
    const own = this.last && recordOf(this.last);
    if (!own || !calls || calls.some(({ id, state }) => id === own.id && state === 'ended')) return calls;
    return [own, ...calls.filter(({ id }) => id !== own.id)];
  }

  /** Read the calls again while one of them lives or is being settled, here, in another tab or by another key. */
  readonly #watch = (): void => {
    window.clearTimeout(this.#watcher);
    if (document.hidden || !this.#shown()?.some(isOpen)) return;
    const pauseMs = Math.min(WATCH_MS_MAX, WATCH_MS * 2 ** this.#failures);
    this.#watcher = window.setTimeout(() => void this.#read(), pauseMs);
  };

  /** Whoever comes back to the page finds what has happened meanwhile. */
  readonly #seen = (): void => {
    if (!document.hidden && !this.busy) this.dispatchEvent(new CustomEvent('retry'));
    this.#watch();
  };

  async #read(): Promise<void> {
    const { api } = this;
    const open = this.#shown()?.filter(isOpen).length ?? 0;
    try {
      const calls = await api.calls(Math.max(1, this.calls?.length ?? 0));
      const account = this.canReadCredit && !this.busy ? await api.account() : undefined;
      if (this.api !== api) return;
      this.#failures = 0;
      this.calls = calls;
      const isOver = (this.#shown()?.filter(isOpen).length ?? 0) < open;
      this.dispatchEvent(new CustomEvent('read', { detail: { calls, left: account?.balance, isOver } satisfies ReadCalls }));
    } catch {
      this.#failures++;
      this.#watch();
    }
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

function isOpen({ state }: CallRecord): boolean {
  return state !== 'ended';
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
