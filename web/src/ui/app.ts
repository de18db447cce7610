/**
 * The page: credit, phone, numbers to try, recent calls; the key form until there is a key. What is about paying
 * comes once calls can be made, and where the gateway takes payments.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { CallRecord, KeyAccess, PhonebookEntry, TopUpOffer } from '../answers';
import { Api } from '../api';
import { brought, storedKey, takeKey } from '../api-key';
import { money, t } from '../i18n';
import type { Call, CallState, CallerError, Money } from '../sdk/core';
import type * as Beside from './beside';
import { handset } from './icons';
import type { FollowedPayment } from './payment-progress';
import './phone';
import type { Phone } from './phone';
import { theme } from './theme';
import type { TopUp } from './top-up';

export class App extends LitElement {
  static override properties = {
    api: { attribute: false },
    access: { attribute: false },
    balance: { attribute: false },
    left: { attribute: false },
    calls: { attribute: false },
    last: { attribute: false },
    callsFailed: { attribute: false },
    phonebook: { attribute: false },
    offer: { attribute: false },
    followed: { attribute: false },
    returned: { attribute: false },
    failure: { attribute: false },
    told: { attribute: false },
    busy: { attribute: false },
  };
  static override styles = [
    theme,
    css`
      header,
      main {
        width: min(100%, 940px);
        margin-inline: auto;
        padding-inline: max(16px, env(safe-area-inset-left));
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 12px;
        padding-block: 20px;
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
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        min-height: 36px;
        margin-inline-start: auto;
        border: 1px solid var(--line);
        border-radius: 23px;
        background: var(--card);
        font-size: 0.9375rem;
      }
      .credit p {
        padding-inline: 14px;
        line-height: 1.25;
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
      main > caller-outcome,
      caller-payment-progress {
        grid-column: 1 / -1;
      }
      @media (max-width: 400px) {
        .mark {
          display: none;
        }
      }
      @media (max-height: 700px) {
        header {
          padding-block: 10px;
        }
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
  /** What the key may do; until that is known, the page is shown as if it may do everything. */
  declare access: KeyAccess | undefined;
  declare balance: Money | undefined;
  /** What the call under way says is left. */
  declare left: Money | undefined;
  declare calls: CallRecord[] | undefined;
  /** The call that has just ended on this page. */
  declare last: CallState | undefined;
  declare callsFailed: boolean;
  declare phonebook: PhonebookEntry[];
  /** What can be topped up; undefined where nothing can. */
  declare offer: TopUpOffer | undefined;
  /** The payment a person comes back from, or makes in another tab. */
  declare followed: FollowedPayment | undefined;
  /** What has become of the payment that a person comes back from. */
  declare returned: Beside.Returned | undefined;
  /** What is wrong now; the next reading that goes well ends it. */
  declare failure: CallerError | undefined;
  /** The phone already says why the gateway is away: that ended its call. */
  declare told: boolean;
  declare busy: boolean;
  /** Without a phone to show: whether it is not known yet if somebody is signed in. */
  asking = true;
  #beside: typeof Beside | undefined;
  reading: Beside.Reading | undefined;

  constructor() {
    super();
    this.phonebook = [];
    this.callsFailed = this.told = this.busy = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('hashchange', this.open);
    this.open();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('hashchange', this.open);
  }

  protected override render(): TemplateResult {
    return html`<header>
        <slot><span class="mark">${handset}</span>
        <h1>Caller</h1></slot>
        ${this.api && (this.offer || this.may('account')) ? this.#credit() : nothing}
      </header>
      ${this.api ? this.#page() : this.asking ? nothing : this.#beside?.keyForm(this)}`;
  }

  #credit(): TemplateResult {
    const left = this.left ?? this.balance;
    const balance = left ? money(left) : '…';
    return html`<div class="credit">
      ${this.may('account')
        ? html`<p class="number"><span class="muted">${t('credit')}</span> <b>${balance}</b></p>`
        : nothing}
      ${this.#beside?.topUp(this)}
    </div>`;
  }

  #page(): TemplateResult {
    const failure = this.busy || this.told ? undefined : this.failure;
    return html`<main class="phone">
      ${failure ? html`<caller-outcome .failure=${failure}></caller-outcome>` : nothing}
      ${this.#beside?.before(this)}
      ${this.may('calls') || this.busy ? this.#dialler() : html`<caller-no-calls></caller-no-calls>`}
      <div class="aside">${this.#beside?.aside(this)}</div>
    </main>
    ${this.#beside?.owner(this)}`;
  }

  #dialler(): TemplateResult {
    return html`<caller-phone
      .api=${this.api}
      .phonebook=${this.phonebook}
      .offer=${this.offer}
      @top-up=${this.openTopUp}
      @charged=${this.follow}
      @credit=${(event: CustomEvent<Money>) => (this.left = event.detail)}
      @call-started=${this.#began}
      @call-placed=${() => this.reading?.changed()}
      @call-ended=${(event: CustomEvent<CallState>) => this.#ended(event.detail)}
    ></caller-phone>`;
  }

  get phone(): Phone | null {
    return this.renderRoot.querySelector<Phone>('caller-phone');
  }

  readonly openTopUp = (): void => {
    void this.renderRoot.querySelector<TopUp>('caller-top-up')?.open();
  };

  readonly follow = (event: CustomEvent<FollowedPayment>): void => {
    this.followed = event.detail;
  };

  readonly open = (): void => {
    takeKey();
    this.requestUpdate();
    const key = storedKey();
    if (this.busy || (this.api && this.api.key === key)) return;
    // A payment is followed with the key that began it.
    if (this.api) this.followed = undefined;
    this.clear();
    void (brought || !key ? this.#load().then((beside) => beside.askWho(this, key)) : this.load(key));
  };

  async #load(): Promise<typeof Beside> {
    const beside = await import('./beside');
    if (!this.#beside) [this.returned, this.followed] = beside.takeReturned();
    return (this.#beside = beside);
  }

  clear(): void {
    this.api = this.access = this.balance = this.left = this.calls = this.last = this.offer = this.failure = undefined;
  }

  may(scope: string): boolean {
    return this.access?.scopes.includes(scope) ?? true;
  }

  /** Open the phone with a key, or without one for whoever is signed in. */
  async load(key?: string): Promise<void> {
    const api = (this.api = new Api(key, () => this.reading?.reached()));
    const { Reading } = await this.#load();
    this.reading ??= new Reading(this);
    await this.reading.begin(api);
  }

  readonly #began = ({ detail }: CustomEvent<Call>): void => {
    this.busy = true;
    this.#beside?.accompany(detail);
  };

  async #ended(state: CallState): Promise<void> {
    this.busy = false;
    this.last = state;
    if (state.failure?.kind === 'key_refused') {
      this.reading?.forget(state.failure);
      return;
    }
    // 502: the gateway is being restarted.
    this.told = state.failure !== undefined || state.ending?.cause === 502;
    await this.reading?.renew();
  }
}

customElements.define('caller-app', App);
