/**
 * The page: credit, phone, numbers to try, recent calls; the key form until there is a key. What is about paying
 * comes once calls can be made, and where the gateway takes payments.
 */

import { LitElement, css, html, nothing } from 'lit';
import type { TemplateResult } from 'lit';
import type { CallRecord, KeyAccess, PhonebookEntry, TopUpOffer } from '../answers';
import { Api } from '../api';
import { brought, storedKey, takeKey } from '../api-key';
import type { Call, CallState, CallerError, Money } from '../sdk/core';
import type * as Beside from './beside';
import { fields } from './fields';
import { handset } from './icons';
import type { FollowedPayment } from './payment-progress';
import './phone';
import type { Phone } from './phone';
import { theme } from './theme';

export class App extends LitElement {
  static override properties = fields(
    'api',
    'access',
    'beside',
    'balance',
    'left',
    'calls',
    'last',
    'callsFailed',
    'phonebook',
    'offer',
    'followed',
    'returned',
    'failure',
    'told',
    'busy',
  );
  static override styles = [
    theme,
    css`
      header,
      main {
        width: min(100%, 940px);
        margin-inline: auto;
        padding-inline: max(var(--space-4), env(safe-area-inset-left));
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: var(--space-3);
        padding-block: var(--space-5);
      }
      h1 {
        font-size: var(--letters-l);
        font-weight: 650;
        letter-spacing: -0.01em;
      }
      .mark {
        display: grid;
        place-items: center;
        width: 36px;
        height: 36px;
        border-radius: var(--radius-s);
        background: var(--go);
        color: var(--on-go);
      }
      caller-credit {
        margin-inline-start: auto;
      }
      main {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--space-5);
        padding-block: var(--space-1) var(--space-5);
      }
      caller-phone,
      .aside {
        width: 100%;
        max-width: 460px;
        margin-inline: auto;
      }
      .aside {
        display: grid;
        gap: var(--space-5);
      }
      @media (max-width: 400px) {
        .mark {
          display: none;
        }
      }
      @media (max-height: 700px) {
        header {
          padding-block: var(--space-3);
        }
      }
      @media (min-width: 860px) {
        main.phone {
          grid-template-columns: 420px minmax(0, 1fr);
          align-items: start;
          gap: var(--space-6);
          padding-block-start: var(--space-5);
        }
        .aside {
          max-width: none;
          gap: var(--space-6);
        }
      }
    `,
  ];

  declare api: Api | undefined;
  /** What the key may do; until that is known, the page is shown as if it may do everything. */
  declare access: KeyAccess | undefined;
  /** What comes beside the phone, once it is there. */
  declare beside: typeof Beside | undefined;
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

  protected override render(): TemplateResult {
    return html`<header>
        <slot><span class="mark">${handset}</span>
        <h1>Caller</h1></slot>
        ${this.api ? this.beside?.credit(this) : nothing}
      </header>
      ${this.api ? this.#page() : this.asking ? nothing : this.beside?.keyForm(this)}`;
  }

  #page(): TemplateResult {
    return html`<main class="phone">
      ${this.beside?.before(this)}
      ${this.may('calls') || this.busy ? this.#dialler() : this.beside?.noCalls()}
      <div class="aside">${this.beside?.aside(this)}</div>
    </main>
    ${this.beside?.owner(this)}`;
  }

  #dialler(): TemplateResult {
    return html`<caller-phone
      .api=${this.api}
      .account=${this.access?.account}
      .balance=${this.balance}
      .beside=${this.beside}
      .phonebook=${this.phonebook}
      .reading=${this.reading}
      .offer=${this.offer}
      @top-up=${() => this.beside?.openTopUp(this)}
      @charged=${(event: CustomEvent<FollowedPayment>) => (this.followed = event.detail)}
      @credit=${(event: CustomEvent<Money>) => (this.left = event.detail)}
      @call-started=${this.#began}
      @call-placed=${() => this.reading?.changed()}
      @call-ended=${this.#ended}
    ></caller-phone>`;
  }

  get phone(): Phone | null {
    return this.renderRoot.querySelector<Phone>('caller-phone');
  }

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
    if (!this.beside) [this.returned, this.followed] = beside.takeReturned();
    return (this.beside = beside);
  }

  clear(): void {
    this.api = this.access = this.balance = this.left = this.calls = this.last = this.offer = this.failure = undefined;
  }

  may(scope: string): boolean {
    return this.access?.scopes.includes(scope) ?? true;
  }

  /** Open the phone with a key, or without one for somebody who is signed in. */
  async load(key?: string): Promise<void> {
    const api = (this.api = new Api(key, () => this.reading?.reached()));
    const { Reading } = await this.#load();
    this.reading ??= new Reading(this);
    await this.reading.begin(api);
  }

  readonly #began = ({ detail }: CustomEvent<Call>): void => {
    this.busy = true;
    this.reading?.began(detail);
  };

  readonly #ended = ({ detail }: CustomEvent<CallState>): void => {
    this.busy = false;
    this.last = detail;
    void this.reading?.ended(detail);
  };
}

customElements.define('caller-app', App);
