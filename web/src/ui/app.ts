/** The page: credit, phone, numbers to try, recent calls; the key form until there is a key. */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import { Api } from '../api';
import { dropKey, takeKey } from '../api-key';
import { CallFailure, asFailure } from '../call/failure';
import type { CallState } from '../call/state';
import { failureInWords, money, t } from '../i18n';
import type { CallRecord, Money, PhonebookEntry } from '../wire';
import { handset } from './icons';
import './key-form';
import './phone';
import type { Phone } from './phone';
import './phonebook';
import './recent-calls';
import { theme } from './theme';

const RECENT_CALLS = 8;

/** The record of a call is written shortly after its end. */
const RECORD_MS = 1500;

export class App extends LitElement {
  static override properties = {
    api: { state: true },
    balance: { state: true },
    calls: { state: true },
    callsFailed: { state: true },
    phonebook: { state: true },
    failure: { state: true },
    busy: { state: true },
  };
  static override styles = [
    theme,
    css`
      header,
      main,
      footer {
        width: min(100%, 940px);
        margin-inline: auto;
        padding-inline: max(16px, env(safe-area-inset-left));
      }
      header {
        display: flex;
        align-items: center;
        gap: 12px;
        padding-block: 20px;
      }
      footer {
        padding-block: 0 24px;
        text-align: center;
      }
      footer button {
        background: transparent;
        font-size: 0.875rem;
        color: var(--muted);
      }
      h1 {
        font-size: 1.1875rem;
        font-weight: 650;
        letter-spacing: -0.01em;
      }
      .mark {
        display: grid;
        place-items: center;
        width: 36px;
        height: 36px;
        border-radius: 11px;
        background: var(--go);
        color: var(--on-go);
      }
      .credit {
        margin-inline-start: auto;
        padding: 6px 14px;
        border: 1px solid var(--line);
        border-radius: 20px;
        background: var(--card);
        font-size: 0.9375rem;
      }
      .credit b {
        font-weight: 600;
      }
      main {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 20px;
        padding-block: 4px 20px;
      }
      caller-phone,
      .aside {
        width: 100%;
        max-width: 460px;
        margin-inline: auto;
      }
      .aside {
        display: grid;
        gap: 20px;
      }
      .alert {
        grid-column: 1 / -1;
      }
      @media (min-width: 860px) {
        main.phone {
          grid-template-columns: 420px minmax(0, 1fr);
          align-items: start;
          gap: 24px;
          padding-block-start: 20px;
        }
        .aside {
          max-width: none;
          gap: 24px;
        }
      }
    `,
  ];

  declare api: Api | undefined;
  declare balance: Money | undefined;
  declare calls: CallRecord[] | undefined;
  declare callsFailed: boolean;
  declare phonebook: PhonebookEntry[];
  declare failure: CallFailure | undefined;
  declare busy: boolean;

  constructor() {
    super();
    this.phonebook = [];
    this.callsFailed = this.busy = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('hashchange', this.#open);
    this.#open();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('hashchange', this.#open);
  }

  protected override render(): TemplateResult {
    return html`<header>
        <span class="mark">${handset}</span>
        <h1>Caller</h1>
        ${this.api ? this.#credit() : nothing}
      </header>
      ${this.api ? this.#page() : this.#keyForm()}`;
  }

  #credit(): TemplateResult {
    return html`<p class="credit number">
      <span class="muted">${t('credit')}</span> <b>${this.balance ? money(this.balance) : '…'}</b>
    </p>`;
  }

  #keyForm(): TemplateResult {
    return html`<main><caller-key-form .failure=${this.failure} @key-given=${this.#open}></caller-key-form></main>`;
  }

  #page(): TemplateResult {
    return html`<main class="phone">
      ${this.failure ? this.#alert(this.failure) : nothing}
      <caller-phone
        .api=${this.api}
        .phonebook=${this.phonebook}
        @call-started=${() => (this.busy = true)}
        @call-ended=${(event: CustomEvent<CallState>) => this.#ended(event.detail)}
      ></caller-phone>
      <div class="aside">
        ${this.phonebook.length ? this.#phonebook() : nothing}
        <caller-recent-calls
          .calls=${this.calls}
          .phonebook=${this.phonebook}
          .failed=${this.callsFailed}
          .busy=${this.busy}
          @retry=${() => void this.#refresh()}
          @redial=${(event: CustomEvent<string>) => this.#phone?.dial(event.detail)}
        ></caller-recent-calls>
      </div>
    </main>
    <footer>
      <button type="button" ?disabled=${this.busy} @click=${() => this.#forget()}>${t('forgetKey')}</button>
    </footer>`;
  }

  #phonebook(): TemplateResult {
    return html`<caller-phonebook
      .entries=${this.phonebook}
      .busy=${this.busy}
      @choose=${(event: CustomEvent<string>) => this.#phone?.choose(event.detail)}
    ></caller-phonebook>`;
  }

  #alert(failure: CallFailure): TemplateResult {
    const [what, next] = failureInWords(failure);
    return html`<p class="alert" role="alert"><strong>${what}</strong> <span>${next}</span></p>`;
  }

  get #phone(): Phone | null {
    return this.renderRoot.querySelector<Phone>('caller-phone');
  }

  readonly #open = (): void => {
    if (this.busy) return;
    const key = takeKey();
    this.api = key ? new Api(key) : undefined;
    this.failure = undefined;
    if (this.api) void this.#load(this.api);
  };

  #forget(failure?: CallFailure): void {
    dropKey();
    this.api = this.balance = this.calls = undefined;
    this.failure = failure;
  }

  async #load(api: Api): Promise<void> {
    await this.#refresh();
    if (this.api === api) this.phonebook = await api.phonebook();
  }

  async #refresh(): Promise<void> {
    const { api } = this;
    if (!api) return;
    const [account, calls] = await Promise.allSettled([api.account(), api.calls(RECENT_CALLS)]);
    if (this.api !== api) return;
    if (account.status === 'fulfilled') {
      this.balance = account.value.balance;
      this.failure = undefined;
    } else {
      this.#failed(asFailure(account.reason));
    }
    this.callsFailed = calls.status === 'rejected';
    if (calls.status === 'fulfilled') this.calls = calls.value;
  }

  #failed(failure: CallFailure): void {
    if (failure.code === 'key-refused') this.#forget(failure);
    else this.failure = failure;
  }

  async #ended(state: CallState): Promise<void> {
    this.busy = false;
    if (state.failure?.code === 'key-refused') {
      this.#forget(state.failure);
      return;
    }
    await this.#refresh();
    window.setTimeout(() => void this.#refresh(), RECORD_MS);
  }
}

customElements.define('caller-app', App);
