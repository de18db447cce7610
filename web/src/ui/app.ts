/**
 * The page: credit, phone, numbers to try, recent calls; the key form until there is a key. What is about paying
 * comes once calls can be made, and where the gateway takes payments.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { CallRecord, KeyAccess, Payment, PhonebookEntry, TopUpOffer } from '../answers';
import { Api } from '../api';
import { answerOffer, brought, dropKey, offeredKey, storedKey, takeKey } from '../api-key';
import { money, t } from '../i18n';
import { keepNumber } from '../kept-number';
import { CallerError, asCallerError, isUnreachable } from '../sdk/core';
import type { CallState, Money } from '../sdk/core';
import type * as Beside from './beside';
import { handset } from './icons';
import type { FollowedPayment } from './payment-progress';
import './phone';
import type { Phone } from './phone';
import { theme } from './theme';
import type { TopUp } from './top-up';

const RECENT_CALLS = 8;

/** What a person did on the payment service's page. */
export type Returned = 'paid' | 'cancelled';

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
  declare returned: Returned | undefined;
  /** What is wrong now; the next reading that goes well ends it. */
  declare failure: CallerError | undefined;
  /** The phone already says why the gateway is away: that ended its call. */
  declare told: boolean;
  declare busy: boolean;
  /** Without a phone to show: whether it is not known yet if somebody is signed in. */
  asking = true;
  #beside: typeof Beside | undefined;
  #following: Beside.Following | undefined;

  constructor() {
    super();
    this.phonebook = [];
    this.callsFailed = this.told = this.busy = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('hashchange', this.#open);
    [this.returned, this.followed] = takeReturned();
    this.#open();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('hashchange', this.#open);
  }

  protected override render(): TemplateResult {
    return html`<header>
        <slot><span class="mark">${handset}</span>
        <h1>Caller</h1></slot>
        ${this.api && (this.offer || this.#may('account')) ? this.#credit() : nothing}
      </header>
      ${this.api ? this.#page() : this.asking ? nothing : this.#keyForm()}`;
  }

  #credit(): TemplateResult {
    const left = this.left ?? this.balance;
    const balance = left ? money(left) : '…';
    return html`<div class="credit">
      ${this.#may('account')
        ? html`<p class="number"><span class="muted">${t('credit')}</span> <b>${balance}</b></p>`
        : nothing}
      ${this.offer ? this.#topUp(this.offer) : nothing}
    </div>`;
  }

  #topUp(offer: TopUpOffer): TemplateResult {
    return html`<caller-top-up
      .api=${this.api}
      .offer=${offer}
      .calling=${this.busy}
      @started=${this.#follow}
      @leaving=${() => keepNumber(this.#phone?.number ?? '')}
    ></caller-top-up>`;
  }

  #keyForm(): TemplateResult {
    void import('./key-form');
    return html`<main>
      <caller-key-form
        .failure=${this.failure}
        .last=${this.last}
        .returned=${this.returned}
        @key-given=${this.#open}
      ></caller-key-form>
    </main>`;
  }

  #page(): TemplateResult {
    const offered = offeredKey();
    const failure = this.busy || this.told ? undefined : this.failure;
    return html`<main class="phone">
      ${failure ? html`<caller-outcome .failure=${failure}></caller-outcome>` : nothing}
      ${this.followed && this.offer ? this.#progress() : nothing}
      ${offered && !this.busy ? this.#keyOffer(offered) : nothing}
      ${this.#may('calls') || this.busy ? this.#dialler() : html`<caller-no-calls></caller-no-calls>`}
      <div class="aside">
        ${this.phonebook.length ? this.#phonebook() : nothing}
        ${this.#may('records') ? this.#recentCalls() : nothing}
        ${this.offer ? html`<caller-payments .api=${this.api} .balance=${this.balance}></caller-payments>` : nothing}
      </div>
    </main>
    <caller-owner
      .api=${this.api}
      .account=${this.access?.account}
      .busy=${this.busy}
      @forget=${() => this.#forget()}
    ></caller-owner>`;
  }

  #keyOffer(offered: string): TemplateResult {
    void import('./key-offer');
    return html`<caller-key-offer
      .offered=${offered}
      .account=${this.access?.account}
      @answered=${this.#open}
    ></caller-key-offer>`;
  }

  #dialler(): TemplateResult {
    return html`<caller-phone
      .api=${this.api}
      .phonebook=${this.phonebook}
      .offer=${this.offer}
      @top-up=${this.#openTopUp}
      @charged=${this.#follow}
      @credit=${(event: CustomEvent<Money>) => (this.left = event.detail)}
      @call-started=${() => (this.busy = true)}
      @call-placed=${() => this.#following?.changed()}
      @call-ended=${(event: CustomEvent<CallState>) => this.#ended(event.detail)}
    ></caller-phone>`;
  }

  #recentCalls(): TemplateResult {
    return html`<caller-recent-calls
      .last=${this.last}
      .calls=${this.calls}
      .phonebook=${this.phonebook}
      .failed=${this.callsFailed}
      .busy=${this.busy}
      .canCall=${this.#may('calls')}
      @retry=${() => void this.refresh()}
      @redial=${(event: CustomEvent<string>) => this.#phone?.dial(event.detail)}
    ></caller-recent-calls>`;
  }

  #phonebook(): TemplateResult {
    return html`<caller-phonebook
      .entries=${this.phonebook}
      .busy=${this.busy}
      @choose=${(event: CustomEvent<string>) => this.#phone?.choose(event.detail)}
    ></caller-phonebook>`;
  }

  #progress(): TemplateResult {
    return html`<caller-payment-progress
      .api=${this.api}
      .followed=${this.followed}
      @concluded=${(event: CustomEvent<Payment>) => void this.#concluded(event.detail)}
      @retry=${this.#openTopUp}
      @closed=${this.#unfollow}
    ></caller-payment-progress>`;
  }

  get #phone(): Phone | null {
    return this.renderRoot.querySelector<Phone>('caller-phone');
  }

  get #topUpButton(): TopUp | null {
    return this.renderRoot.querySelector('caller-top-up');
  }

  readonly #openTopUp = (): void => {
    void this.#topUpButton?.open();
  };

  readonly #follow = (event: CustomEvent<FollowedPayment>): void => {
    this.followed = event.detail;
  };

  /** A payment has an outcome: the credit is another, and so may be the card that is saved. */
  async #concluded({ state }: Payment): Promise<void> {
    await this.refresh();
    // Another object: what is listed of payments is read by it.
    this.balance &&= { ...this.balance };
    this.#following?.changed();
    if (this.api && this.#may('payments')) this.offer = (await this.api.topUpOffer()) ?? this.offer;
    if (state === 'paid') this.#phone?.offerCall();
  }

  readonly #unfollow = (): void => {
    this.followed = undefined;
    this.#topUpButton?.focus();
  };

  readonly #open = (): void => {
    takeKey();
    this.requestUpdate();
    const key = storedKey();
    if (this.busy || (this.api && this.api.key === key)) return;
    // A payment is followed with the key that began it.
    if (this.api) this.followed = undefined;
    this.#clear();
    void (brought || !key ? import('./beside').then((beside) => beside.askWho(this, key)) : this.load(key));
  };

  #forget(failure?: CallerError): void {
    const { access, last } = this;
    dropKey();
    // Where the tab's own key is no good any more, nobody is replaced by the one that a link has brought.
    answerOffer(failure !== undefined);
    this.#clear();
    this.#open();
    if (this.api || !failure) return;
    this.failure = access ? new CallerError('key_refused', { code: 'key_revoked' }) : failure;
    this.last = last;
  }

  #clear(): void {
    this.api = this.access = this.balance = this.left = this.calls = this.last = this.offer = this.failure = undefined;
  }

  #may(scope: string): boolean {
    return this.access?.scopes.includes(scope) ?? true;
  }

  /** Open the phone with a key, or without one for whoever is signed in. */
  async load(key?: string): Promise<void> {
    const api = (this.api = new Api(key, () => isUnreachable(this.failure) && this.#recover()));
    const beside = import('./beside');
    await this.refresh();
    this.#beside = await beside;
    this.#following ??= new this.#beside.Following(this);
    if (this.api !== api) return;
    if (this.#may('calls')) this.phonebook = await api.phonebook();
    const offer = this.#may('payments') ? await api.topUpOffer() : undefined;
    if (offer) await import('./paying');
    if (this.api === api) this.offer = offer;
  }

  /** Whether a call goes on, here excepted, or is being settled. */
  goesOn(): boolean {
    const calls = this.busy ? undefined : this.#beside?.listed(this.calls, this.last);
    return calls?.some(({ state }) => state !== 'ended') ?? false;
  }

  /** Read what is shown of the account; return whether that went well. */
  async refresh(): Promise<boolean> {
    const { api } = this;
    if (!api) return true;
    try {
      const access = await api.access();
      if (this.api !== api) return true;
      this.access = access;
      const [account, calls] = await Promise.allSettled([
        this.#may('account') ? api.account() : undefined,
        this.#may('records') ? api.calls(RECENT_CALLS) : undefined,
      ]);
      if (this.api !== api) return true;
      this.callsFailed = calls.status === 'rejected' && !this.calls;
      if (calls.status === 'fulfilled') this.calls = calls.value;
      if (account.status === 'rejected') throw account.reason;
      if (calls.status === 'rejected' && !account.value) throw calls.reason;
      const balance = account.value?.balance;
      if (balance?.micros !== this.balance?.micros) this.balance = balance;
      if (!this.busy) this.left = undefined;
      this.#recover();
      return calls.status === 'fulfilled';
    } catch (error) {
      if (this.api === api) this.#failed(asCallerError(error));
      return false;
    }
  }

  /** Nothing is wrong any more: neither here nor, of what kept a call from being placed, in the phone. */
  #recover(): void {
    this.#phone?.forget(this.failure);
    // A gateway that drains may answer once more before it goes: what follows is told as well.
    this.told &&= !this.failure && this.last?.ending?.cause === 502;
    this.failure = undefined;
  }

  #failed(failure: CallerError): void {
    this.callsFailed = !this.calls;
    // A call goes on without its key; what is wrong shows once it has ended.
    if (failure.kind === 'key_refused' && !this.busy) this.#forget(failure);
    else this.failure = failure;
  }

  async #ended(state: CallState): Promise<void> {
    this.busy = false;
    this.last = state;
    if (state.failure?.kind === 'key_refused') {
      this.#forget(state.failure);
      return;
    }
    // 502: the gateway is being restarted.
    this.told = state.failure !== undefined || state.ending?.cause === 502;
    await this.refresh();
    this.#following?.changed();
  }
}

/** Take out of the address what the payment service's page sends a person back with. */
function takeReturned(): [Returned?, FollowedPayment?] {
  const query = new URLSearchParams(location.search);
  const id = query.get('top-up');
  if (id === null && !query.has('top-up-cancelled')) return [];
  history.replaceState(null, '', location.pathname + location.hash);
  return id === null ? ['cancelled'] : ['paid', { id }];
}

customElements.define('caller-app', App);
