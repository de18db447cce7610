/**
 * The phone itself: one call at a time, before, during and after. Fires `call-started`, `call-placed` as it begins to
 * ring and to be charged, and `call-ended`, `credit` with what a call says is left, and `top-up` where somebody wants credit.
 */

import { LitElement, css, html } from 'lit';
import type { PropertyValues, TemplateResult } from 'lit';
import type { PhonebookEntry, TopUpOffer } from '../answers';
import type { Api } from '../api';
import { t } from '../i18n';
import { Call, CallerError, asCallerError, dropCall, keptCall, tabStore } from '../sdk/core';
import type { CallState, CallToken, KeptCall, Money } from '../sdk/core';
import './dialler';
import type { Dialler } from './dialler';
import type * as Beside from './beside';
import { fields } from './fields';
import './in-call';
import type { InCall } from './in-call';
import { theme } from './theme';

export class Phone extends LitElement {
  static override properties = fields('reading', 'api', 'account', 'balance', 'beside', 'phonebook', 'offer', 'state', 'failure', 'kept');
  static override styles = [
    theme,
    css`
      section {
        display: grid;
        gap: var(--space-4);
        /* The header's height, where time and cost fit below it. */
        scroll-margin-block-start: clamp(0rem, (100vh - 33rem) * 9, 9rem);
      }
      section:focus-visible {
        outline: 2px solid color-mix(in srgb, var(--accent) 50%, transparent);
      }
      .status {
        display: flex;
        align-items: center;
        justify-content: center;
        gap: var(--space-2);
        font-size: var(--letters-s);
        color: var(--muted);
      }
      .status::before {
        content: '';
        width: 9px;
        height: 9px;
        border-radius: 50%;
        background: var(--muted);
      }
      .status.live::before {
        background: var(--level);
      }
      .status.lost::before {
        background: var(--stop);
      }
      .notice {
        text-align: center;
      }
      @media (max-width: 400px) {
        section {
          padding: var(--space-4);
        }
      }
    `,
  ];

  declare api: Api;
  /** Whom the page is shown to, once that is known. */
  declare account: string | undefined;
  declare balance: Money | undefined;
  /** What comes beside the phone, once it is there. */
  declare beside: typeof Beside | undefined;
  declare phonebook: PhonebookEntry[];
  /** What can be topped up; undefined where nothing can. */
  declare offer: TopUpOffer | undefined;
  /** Knows the account, once it is there. */
  declare reading: Beside.Reading | undefined;
  declare state: CallState | undefined;
  /** Why a call could not even begin. */
  declare failure: CallerError | undefined;
  /** A call of this account that the page before this one left. */
  declare kept: KeptCall | undefined;
  /** The call that is under way, or was last. */
  call: Call | undefined;

  constructor() {
    super();
    this.phonebook = [];
    this.addEventListener('keydown', (event) => this.beside?.keyDown(this, event));
  }

  /** Whether a call is under way. */
  get busy(): boolean {
    return this.state !== undefined && this.state.phase !== 'ended';
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has('account') || this.busy) return;
    this.kept = this.account === undefined ? undefined : keptCall(Date.now(), this.account);
    if (this.kept) void import('./return-call');
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.call?.disconnect();
  }

  /** Call this number, or go back to a call. Call it inside the click or key press. */
  dial(to: string | KeptCall): void {
    if (this.busy) return;
    const { api } = this;
    this.failure = undefined;
    this.beside?.stopKeys();
    try {
      const before = typeof to === 'string' ? () => this.#endKept(api) : undefined;
      const getToken = this.#tokens(to);
      const setup = {
        getToken,
        before,
        origin: location.origin,
        closeProtection: true,
        memory: tabStore,
        get account() {
          return api.account;
        },
      };
      this.call = new Call(to, setup)
        .on('changed', (state) => this.#changed(state))
        .on('volume', (...levels) => this.renderRoot.querySelector<InCall>('caller-in-call')?.showLevels(...levels));
      if (!before) this.kept = undefined;
    } catch (error) {
      this.state = undefined;
      this.failure = asCallerError(error);
      return;
    }
    this.state = this.call.state;
    // What is shown of a call begins where the phone does, not where the button was pressed.
    void this.#focusPanel().then(() => this.#panel?.scrollIntoView());
    this.dispatchEvent(new CustomEvent('call-started', { detail: this.call }));
  }

  /** Return how to get the token; a number that may not be called is no failed request, for it is asked about before. */
  #tokens(to: string | KeptCall): (destination: string) => Promise<CallToken> {
    const { api } = this;
    const quote = typeof to === 'string' ? api.quote(to) : undefined;
    return async (destination) => {
      const refusal = (await quote)?.refusal;
      if (refusal) throw new CallerError('request_refused', refusal);
      return api.callToken(destination);
    };
  }

  /** End what the page before this one left: one call at a time. Whose it is to be may not be known yet. */
  async #endKept(api: Api): Promise<void> {
    if (api.account === undefined) this.kept = keptCall(Date.now(), (await api.access()).account);
    if (!this.kept) return;
    const { endKept } = await import('./return-call');
    await endKept(this.kept);
    this.forgetKept();
  }

  /** Forget the call that the page before this one left. */
  readonly forgetKept = (): void => {
    if (this.kept) dropCall(this.kept.account);
    this.kept = undefined;
  };

  /** Show how a call that was not taken up again has ended. */
  endedUnseen(state: CallState): void {
    this.forgetKept();
    this.#changed(state);
  }

  /** Show this number, one Enter away from being called. */
  choose(number: string): void {
    this.#dialler?.fill(number);
    this.#dialler?.focusCall();
  }

  /** What is written as the number to be called. */
  get number(): string {
    return this.#dialler?.number ?? '';
  }

  get #panel(): HTMLElement | null {
    return this.renderRoot.querySelector('section');
  }

  get #dialler(): Dialler | null {
    return this.renderRoot.querySelector('caller-dialler');
  }

  #changed(state: CallState): void {
    const { balance, phase } = state;
    if (balance && balance !== this.state?.balance) this.dispatchEvent(new CustomEvent('credit', { detail: balance }));
    const isNews = phase !== this.state?.phase;
    this.state = state;
    if (isNews && phase !== 'ended') this.dispatchEvent(new CustomEvent('call-placed'));
    if (phase !== 'ended') return;
    this.beside?.stopKeys();
    void this.#focusPanel();
    this.dispatchEvent(new CustomEvent('call-ended', { detail: state }));
  }

  protected override render(): TemplateResult {
    return html`<section class="card" tabindex="-1" aria-label=${t('title')}>
      <p class="status ${this.busy && this.state?.lost ? 'lost' : (this.state?.phase ?? '')}" role="status">${this.#status()}</p>
      ${this.busy ? this.#inCall() : this.#idle()}
      <caller-key-help></caller-key-help>
    </section>`;
  }

  #status(): string {
    const { state } = this;
    if (state?.lost && this.busy) return t('reconnecting');
    if (state?.tone && this.busy) return t(state.tone);
    if (state?.unplaced) return t('unplaced');
    if (state?.phase !== 'live') return t(state?.phase ?? 'idle');
    return state.held ? t('liveHeld') : t(state.muted ? 'liveMuted' : 'live');
  }

  #inCall(): TemplateResult {
    return html`<caller-in-call
      .call=${this.call}
      .state=${this.state}
      .label=${this.labelOf(this.state?.destination)}
      .api=${this.api}
      .offer=${this.offer}
      @key=${(event: CustomEvent<string>) => this.press(event.detail)}
    ></caller-in-call>`;
  }

  /** Return the number's name, if it has one. */
  labelOf(destination = ''): string {
    return this.beside?.labelOf(destination, this.phonebook) ?? '';
  }

  #idle(): TemplateResult {
    const { beside, state } = this;
    return html`${beside?.aboveDialler(this)}
      <caller-dialler
        .api=${this.api}
        .balance=${this.balance}
        .beside=${beside}
        .told=${state?.failure?.problem?.code}
        @dial=${(event: CustomEvent<string>) => this.dial(event.detail)}
        @key=${(event: CustomEvent<string>) => beside?.playKey(event.detail)}
      ></caller-dialler>
      <caller-tools .api=${this.api}></caller-tools>
      <p class="notice small muted">${t('notice')}</p>`;
  }

  /** Press a key of the telephone at the phone. */
  press(key: string): void {
    this.beside?.playKey(key);
    this.call?.sendDigits(key);
  }

  /** Keep the focus in the phone when the control that had it goes: digits go on, Enter does nothing. */
  async #focusPanel(): Promise<void> {
    const number = this.state?.destination;
    await this.updateComplete;
    this.#panel?.focus({ preventScroll: true });
    if (!this.busy && number) this.#dialler?.fill(number);
  }
}

customElements.define('caller-phone', Phone);
